//! Which fork version a message is signed with.
//!
//! A request's `fork_info` is not the fork schedule: Lodestar puts the message's epoch in
//! `fork.epoch`, and for exits seven clients send five different things. So a version is chosen from
//! it and then compared with the network's own schedule.

use super::{DutyError, Message};
use crate::fork::{ForkInfo, ForkName};
use crate::network::{Network, VersionError};
use crate::primitives::{Epoch, ForkVersion, Root};

/// The fork version and genesis validators root of the domain, as a request asks for them. The
/// version is still to be checked.
pub(super) fn from_request(
    message: &Message,
    fork_info: Option<&ForkInfo>,
    network: &Network,
) -> Result<(ForkVersion, Root), DutyError> {
    let kind = message.kind();
    let epoch = match (message, message.epoch(network)) {
        (Message::Deposit(deposit), _) => return Ok((deposit.genesis_fork_version, Root::ZERO)),
        // Deposits and registrations are valid on every fork of a network.
        (_, None) => return Ok((network.genesis_fork_version(), Root::ZERO)),
        (_, Some(epoch)) => epoch,
    };
    let info = fork_info.ok_or(DutyError::MissingForkInfo { kind })?;
    let expected = network.genesis_validators_root();
    if info.genesis_validators_root != expected {
        return Err(DutyError::GenesisValidatorsRoot {
            kind,
            network: network.name().to_owned(),
            expected,
            found: info.genesis_validators_root,
        });
    }
    let version = match message {
        Message::VoluntaryExit(_) => exit_version(info, epoch, network),
        _ => info.fork.version_at(epoch),
    };
    Ok((version, expected))
}

/// Checks a version against the network's schedule; the fork that the message belongs to.
pub(super) fn check_version(
    message: &Message,
    version: ForkVersion,
    network: &Network,
) -> Result<ForkName, DutyError> {
    let kind = message.kind();
    let Some(epoch) = message.epoch(network) else {
        let expected = network.genesis_fork_version();
        if version == expected {
            return Ok(ForkName::Phase0);
        }
        let network = network.name().to_owned();
        return Err(DutyError::GenesisForkVersion { kind, network, expected, found: version });
    };
    let fixed = match message {
        Message::VoluntaryExit(_) => fixed_exit_version(network),
        _ => None,
    };
    if fixed == Some(version) {
        return Ok(ForkName::Capella);
    }
    let wrong = |expected| {
        let network = network.name().to_owned();
        DutyError::ForkVersion { kind, epoch, network, expected, found: version }
    };
    let fork = network
        .resolve_fork(epoch, version)
        .map_err(|VersionError { expected }| wrong(fixed.unwrap_or(expected)))?;
    match fixed {
        Some(expected) if fork >= ForkName::Capella => return Err(wrong(expected)),
        _ => {}
    }
    if fork < kind.since() {
        return Err(DutyError::BeforeItsFork { kind, since: kind.since(), epoch, fork });
    }
    if let Some(only) = kind.only_form()
        && let Some(expected) = network.fork_version(only)
        && version != expected
    {
        let network = network.name().to_owned();
        return Err(DutyError::UnknownForm { kind, fork: only, network, expected, found: version });
    }
    Ok(fork)
}

/// EIP-7044: from Deneb on an exit is signed with Capella's version, so that it stays valid for ever.
///
/// Before Deneb it was signed with the version of its epoch. A chain that has Deneb in its schedule is
/// there or will be, so only a request that says it is from before Capella is taken at its word.
fn exit_version(info: &ForkInfo, epoch: Epoch, network: &Network) -> ForkVersion {
    let before_capella = [ForkName::Phase0, ForkName::Altair, ForkName::Bellatrix]
        .into_iter()
        .any(|fork| network.fork_version(fork) == Some(info.fork.current_version));
    match fixed_exit_version(network) {
        Some(capella) if !before_capella => capella,
        _ => info.fork.version_at(epoch),
    }
}

/// Capella's version, on a network that has Deneb in its schedule.
fn fixed_exit_version(network: &Network) -> Option<ForkVersion> {
    network.fork_epoch(ForkName::Deneb)?;
    network.fork_version(ForkName::Capella)
}
