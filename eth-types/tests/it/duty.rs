//! What makes a message a duty of a network, and with which version it is signed.

use eth_types::containers::{DepositMessage, VoluntaryExit};
use eth_types::fork::{Domain, DomainType, compute_domain, compute_signing_root};
use eth_types::{
    Duty, DutyClass, DutyError, DutyKind, Epoch, Fork, ForkInfo, ForkName, ForkVersion, Message,
    Network, NonSlashableDuty, Preset, Root, Slot,
};

use crate::support::{aggregate, attestation, chain, contribution, fork_info, header, one_of_each};

fn mainnet() -> Network {
    Network::by_name("mainnet").unwrap()
}

fn version(text: &str) -> ForkVersion {
    text.parse().unwrap()
}

/// A `fork_info` of `network` with these versions.
fn info(network: &Network, previous: &str, current: &str, epoch: u64) -> ForkInfo {
    let fork = Fork {
        previous_version: version(previous),
        current_version: version(current),
        epoch: Epoch::new(epoch),
    };
    ForkInfo { fork, genesis_validators_root: network.genesis_validators_root() }
}

#[test]
fn every_kind_makes_a_duty_with_its_own_domain() {
    let network = chain(Preset::Minimal, ForkName::Gloas);
    let request = fork_info(&network, Epoch::new(0));
    for message in one_of_each(&network) {
        let kind = message.kind();
        let (slot, epoch) = (message.slot(), message.epoch(&network));
        let object_root = message.object_root();
        let duty = Duty::new(message, Some(&request), &network).unwrap();

        let (expected_version, root) = match kind {
            DutyKind::Deposit | DutyKind::ValidatorRegistration | DutyKind::BuilderRequestAuth => {
                ("00000001", Root::ZERO)
            }
            DutyKind::VoluntaryExit => ("03000001", network.genesis_validators_root()),
            _ => ("07000001", network.genesis_validators_root()),
        };
        assert_eq!(duty.fork_version(), version(expected_version), "{kind}");
        assert_eq!(duty.genesis_validators_root(), root, "{kind}");
        let domain = compute_domain(kind.domain_type(), version(expected_version), root);
        assert_eq!(duty.signing_root(), compute_signing_root(object_root, domain), "{kind}");
        assert_eq!((duty.kind(), duty.class()), (kind, kind.class()));
        assert_eq!((duty.slot(), duty.epoch(&network)), (slot, epoch));
    }
}

#[test]
fn blocks_and_attestations_are_slashable_and_what_peers_must_not_ask_for_is_witnessed() {
    let network = chain(Preset::Minimal, ForkName::Gloas);
    let request = fork_info(&network, Epoch::new(0));
    for message in one_of_each(&network) {
        let kind = message.kind();
        let expected = match kind {
            DutyKind::Block | DutyKind::Attestation => DutyClass::Slashable,
            DutyKind::Deposit | DutyKind::VoluntaryExit | DutyKind::ExecutionPayloadBid => {
                DutyClass::Witnessed
            }
            _ => DutyClass::CoSigned,
        };
        assert_eq!(kind.class(), expected, "{kind}");
        let duty = Duty::new(message, Some(&request), &network).unwrap();
        let harmless = NonSlashableDuty::try_from(duty.clone());
        match expected {
            DutyClass::Slashable => assert_eq!(
                harmless.unwrap_err().to_string(),
                format!(
                    "{kind} is slashable: it is signed only with a permit of the slashing database"
                )
            ),
            _ => assert_eq!(harmless.unwrap().duty(), &duty),
        }
    }
}

#[test]
fn slots_and_epochs_are_the_messages_own() {
    let network = chain(Preset::Minimal, ForkName::Fulu);
    // 8 slots an epoch: slot 17 is in epoch 2. An attestation's epoch is its target's.
    let vote = Message::Attestation(attestation(17, 9));
    assert_eq!((vote.slot(), vote.epoch(&network)), (Some(Slot::new(17)), Some(Epoch::new(9))));
    let block = Message::Block(header(17));
    assert_eq!((block.slot(), block.epoch(&network)), (Some(Slot::new(17)), Some(Epoch::new(2))));
    let reveal = Message::RandaoReveal(Epoch::new(3));
    assert_eq!((reveal.slot(), reveal.epoch(&network)), (None, Some(Epoch::new(3))));
}

#[test]
fn another_chains_message_is_refused_with_both_roots() {
    let network = mainnet();
    let hoodi = Network::by_name("hoodi").unwrap();
    let request = fork_info(&hoodi, Epoch::new(60_000));
    let error = Duty::new(Message::Block(header(1)), Some(&request), &network).unwrap_err();
    assert_eq!(
        error.to_string(),
        "BLOCK_V2 is for the chain with genesis validators root \
         0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f, but network mainnet \
         has 0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"
    );
}

#[test]
fn a_request_without_fork_info_is_refused_where_the_domain_needs_it() {
    let network = chain(Preset::Minimal, ForkName::Gloas);
    for message in one_of_each(&network) {
        let kind = message.kind();
        let duty = Duty::new(message, None, &network);
        match kind {
            DutyKind::Deposit | DutyKind::ValidatorRegistration | DutyKind::BuilderRequestAuth => {
                assert!(duty.is_ok(), "{kind}")
            }
            _ => assert_eq!(duty.unwrap_err(), DutyError::MissingForkInfo { kind }),
        }
    }
}

#[test]
fn a_version_that_is_not_the_epochs_is_refused_with_both() {
    let network = mainnet();
    // Epoch 400000 is in Electra.
    let message = || Message::Attestation(attestation(12_800_000, 400_000));
    for (previous, current, epoch) in [
        ("04000000", "06000000", 364_032),
        ("03000000", "04000000", 269_568),
        ("05000000", "06000000", 400_000),
        ("04000000", "05000000", 400_001),
        ("04000000", "07000000", 0),
        ("04000000", "ffffffff", 0),
    ] {
        let request = info(&network, previous, current, epoch);
        let error = Duty::new(message(), Some(&request), &network).unwrap_err();
        let DutyError::ForkVersion { expected, found, .. } = error else { panic!("{error}") };
        assert_eq!(expected, version("05000000"));
        assert_eq!(found, request.fork.version_at(Epoch::new(400_000)));
    }
    let request = info(&network, "04000000", "ffffffff", 0);
    assert_eq!(
        Duty::new(message(), Some(&request), &network).unwrap_err().to_string(),
        "ATTESTATION of epoch 400000 is for fork version 0xffffffff, but network mainnet has \
         0x05000000 in that epoch"
    );
}

#[test]
fn the_forks_own_epoch_the_messages_epoch_and_the_epoch_before_the_next_fork_are_all_right() {
    let network = mainnet();
    let right = |request: &ForkInfo| {
        let duty = Duty::new(
            Message::Attestation(attestation(12_800_000, 400_000)),
            Some(request),
            &network,
        );
        duty.unwrap().fork_version()
    };
    for (previous, current, epoch) in [
        // Most clients: the schedule.
        ("04000000", "05000000", 364_032),
        // Lodestar: the message's own epoch.
        ("04000000", "05000000", 400_000),
        // A client that is past the next fork and signs for before it.
        ("05000000", "06000000", 411_392),
    ] {
        let request = info(&network, previous, current, epoch);
        assert_eq!(right(&request), version("05000000"));
    }
}

#[test]
fn past_the_schedule_a_new_version_is_taken_and_an_old_one_is_not() {
    let network = mainnet();
    let message = || Message::RandaoReveal(Epoch::new(500_000));
    for (current, right) in [
        ("06000000", true),
        // Named in the configuration, without a date.
        ("07000000", true),
        // Not named at all.
        ("08000000", true),
        ("05000000", false),
        ("00000000", false),
    ] {
        let request = info(&network, "06000000", current, 450_000);
        let duty = Duty::new(message(), Some(&request), &network);
        match duty {
            Ok(duty) => {
                assert!(right, "{current}");
                assert_eq!(duty.fork_version(), version(current));
            }
            Err(error) => assert!(!right, "{current}: {error}"),
        }
    }
}

/// Clients send five different things for an exit; one domain is right (EIP-7044).
#[test]
fn exits_are_signed_with_capellas_version_whatever_the_client_sends() {
    let network = mainnet();
    let exit = VoluntaryExit { epoch: Epoch::new(415_529), validator_index: 7 };
    let expected = compute_domain(
        DomainType::VOLUNTARY_EXIT,
        version("03000000"),
        network.genesis_validators_root(),
    );
    for (client, previous, current, epoch) in [
        ("Lighthouse", "03000000", "03000000", 415_529),
        ("Nimbus", "03000000", "03000000", 0),
        ("Lodestar, Vero", "02000000", "03000000", 194_048),
        ("Teku, Prysm, Grandine", "05000000", "06000000", 411_392),
        ("old Lodestar", "05000000", "06000000", 415_529),
        ("a client ahead of the schedule", "06000000", "09000000", 415_000),
    ] {
        let request = info(&network, previous, current, epoch);
        let duty = Duty::new(Message::VoluntaryExit(exit), Some(&request), &network).unwrap();
        assert_eq!(duty.fork_version(), version("03000000"), "{client}");
        let object_root = duty.message().object_root();
        assert_eq!(duty.signing_root(), compute_signing_root(object_root, expected), "{client}");
    }
}

/// An exit may be asked for with an epoch long past.
#[test]
fn exits_of_an_epoch_before_capella_are_signed_with_capellas_version_on_a_chain_that_is_past_it() {
    let network = mainnet();
    let exit = Message::VoluntaryExit(VoluntaryExit { epoch: Epoch::new(0), validator_index: 7 });
    let request = info(&network, "05000000", "06000000", 411_392);
    let duty = Duty::new(exit, Some(&request), &network).unwrap();
    assert_eq!(duty.fork_version(), version("03000000"));
}

#[test]
fn exits_on_a_chain_without_deneb_follow_fork_info() {
    let network = chain(Preset::Minimal, ForkName::Capella);
    let exit = Message::VoluntaryExit(VoluntaryExit { epoch: Epoch::new(2), validator_index: 7 });
    let request = info(&network, "02000001", "03000001", 0);
    let duty = Duty::new(exit.clone(), Some(&request), &network).unwrap();
    assert_eq!(duty.fork_version(), version("03000001"));

    let network = chain(Preset::Minimal, ForkName::Bellatrix);
    let request = info(&network, "01000001", "02000001", 0);
    let duty = Duty::new(exit, Some(&request), &network).unwrap();
    assert_eq!(duty.fork_version(), version("02000001"));
}

#[test]
fn registrations_ignore_fork_info_even_of_another_chain() {
    let network = chain(Preset::Minimal, ForkName::Fulu);
    let registration = one_of_each(&network).pop().unwrap();
    let nimbus = ForkInfo {
        genesis_validators_root: Root::ZERO,
        ..info(&network, "01000000", "0a0b0c0d", 5)
    };
    let with = Duty::new(registration.clone(), Some(&nimbus), &network).unwrap();
    assert_eq!(with, Duty::new(registration, None, &network).unwrap());
    assert_eq!(with.kind(), DutyKind::ValidatorRegistration);
    assert_eq!(with.epoch(&network), None);
}

#[test]
fn a_deposit_for_another_network_is_refused() {
    let network = chain(Preset::Minimal, ForkName::Fulu);
    let Some(Message::Deposit(deposit)) =
        one_of_each(&network).into_iter().find(|message| message.kind() == DutyKind::Deposit)
    else {
        panic!("no deposit among the messages")
    };
    let foreign = DepositMessage { genesis_fork_version: version("10000910"), ..deposit };
    let error = Duty::new(Message::Deposit(foreign), None, &network).unwrap_err();
    assert_eq!(
        error.to_string(),
        "DEPOSIT is for genesis fork version 0x10000910, but network test has 0x00000001"
    );
}

#[test]
fn sync_committee_duties_before_altair_are_refused() {
    let network = chain(Preset::Mainnet, ForkName::Phase0);
    let request = info(&network, "00000001", "00000001", 0);
    let contribution = contribution(17, &[0; 16]).resolve(&network).unwrap();
    let message = Message::SyncCommitteeContributionAndProof(contribution);
    assert_eq!(
        Duty::new(message, Some(&request), &network).unwrap_err().to_string(),
        "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF exists from ALTAIR on, but epoch 0 is in PHASE0"
    );
}

#[test]
fn containers_of_another_preset_are_refused() {
    let (mainnet, minimal) =
        (chain(Preset::Mainnet, ForkName::Fulu), chain(Preset::Minimal, ForkName::Fulu));
    let request = fork_info(&minimal, Epoch::new(0));
    let contribution = contribution(17, &[0; 16]).resolve(&mainnet).unwrap();
    let aggregate = aggregate(17, &[1], Some(&[1; 8])).resolve(&mainnet).unwrap();
    for message in [
        Message::SyncCommitteeContributionAndProof(contribution),
        Message::AggregateAndProof(aggregate),
    ] {
        let kind = message.kind();
        let error = Duty::new(message, Some(&request), &minimal).unwrap_err();
        assert_eq!(error, DutyError::Preset { kind, expected: Preset::Minimal });
    }
}

#[test]
fn an_aggregate_of_another_forks_form_is_refused() {
    let (deneb, electra) =
        (chain(Preset::Mainnet, ForkName::Deneb), chain(Preset::Mainnet, ForkName::Electra));
    let old = aggregate(17, &[1], None).resolve(&deneb).unwrap();
    let new = aggregate(17, &[1], Some(&[1; 8])).resolve(&electra).unwrap();
    for (aggregate, network, fork) in
        [(old, &electra, ForkName::Electra), (new, &deneb, ForkName::Deneb)]
    {
        let request = fork_info(network, Epoch::new(0));
        let error = Duty::new(Message::AggregateAndProof(aggregate), Some(&request), network);
        assert_eq!(error.unwrap_err(), DutyError::AggregateForm { fork, slot: Slot::new(17) });
    }
}

/// The request's version says that the chain is in Gloas, which the schedule does not know yet: the
/// aggregate, which has the same JSON, hashes as Gloas' does.
#[test]
fn an_aggregate_under_gloas_version_hashes_as_gloas_before_the_schedule_knows() {
    let unscheduled = chain(Preset::Mainnet, ForkName::Fulu);
    let scheduled = chain(Preset::Mainnet, ForkName::Gloas);
    let raw = aggregate(17, &[0xff; 40], Some(&[1; 8]));
    let request = fork_info(&scheduled, Epoch::new(0));
    let duty = |network: &Network| {
        let message = Message::AggregateAndProof(raw.resolve(network).unwrap());
        Duty::new(message, Some(&request), network).unwrap()
    };
    assert_eq!(duty(&unscheduled).signing_root(), duty(&scheduled).signing_root());

    let fulu = fork_info(&unscheduled, Epoch::new(0));
    let message = Message::AggregateAndProof(raw.resolve(&unscheduled).unwrap());
    let fulu = Duty::new(message, Some(&fulu), &unscheduled).unwrap();
    let root = |duty: &Duty| duty.message().object_root();
    assert_ne!(root(&fulu), root(&duty(&scheduled)));
}

/// The whole way from the message to the signing root, spelled out once without this crate's functions.
#[test]
fn a_randao_reveals_signing_root_is_two_hashes_of_what_the_specification_says() {
    let network = mainnet();
    let request = info(&network, "00000000", "01000000", 74_240);
    let duty =
        Duty::new(Message::RandaoReveal(Epoch::new(80_000)), Some(&request), &network).unwrap();

    let hash = |left: [u8; 32], right: [u8; 32]| ethereum_hashing::hash32_concat(&left, &right);
    let mut epoch = [0; 32];
    epoch[..8].copy_from_slice(&80_000_u64.to_le_bytes());
    let mut version = [0; 32];
    version[0] = 1;
    let fork_data_root = hash(version, network.genesis_validators_root().into_bytes());
    let mut domain = [0; 32];
    domain[0] = 2;
    domain[4..].copy_from_slice(&fork_data_root[..28]);
    assert_eq!(duty.signing_root().into_bytes(), hash(epoch, domain));
    assert_eq!(
        Domain::new(domain),
        compute_domain(DomainType::RANDAO, duty.fork_version(), network.genesis_validators_root())
    );
}

#[test]
fn what_gloas_adds_is_refused_before_it_and_bids_and_payloads_after_it() {
    let fulu = chain(Preset::Minimal, ForkName::Fulu);
    let gloas = chain(Preset::Minimal, ForkName::Gloas);
    let at = |network: &Network, current| info(network, current, current, 0);
    for message in one_of_each(&gloas).into_iter().skip(11) {
        let kind = message.kind();
        if kind == DutyKind::BuilderRequestAuth {
            // Signed under the genesis version: a proposer may ask before the fork's first slot.
            assert!(Duty::new(message, None, &fulu).is_ok());
            continue;
        }
        let early = Duty::new(message.clone(), Some(&at(&fulu, "06000001")), &fulu);
        assert!(matches!(early, Err(DutyError::BeforeItsFork { .. })), "{kind}: {early:?}");
        // The fork has no date in this schedule, but a version.
        let undated = Duty::new(message.clone(), Some(&at(&fulu, "07000001")), &fulu);
        let dated = Duty::new(message.clone(), Some(&at(&gloas, "07000001")), &gloas);
        assert_eq!(undated.unwrap().signing_root(), dated.unwrap().signing_root(), "{kind}");
        // A fork that nothing is known of: its other duties have the form of Gloas.
        let later = Duty::new(message, Some(&at(&gloas, "08000001")), &gloas);
        match kind {
            DutyKind::ExecutionPayloadBid | DutyKind::ExecutionPayloadEnvelope => assert_eq!(
                later.unwrap_err().to_string(),
                format!(
                    "{kind} is for fork version 0x08000001, but its form is only known for GLOAS, \
                     version 0x07000001 of network test"
                )
            ),
            _ => assert_eq!(later.unwrap().fork_version(), version("08000001"), "{kind}"),
        }
    }
}
