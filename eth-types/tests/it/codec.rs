//! Duties between nodes: every duty has one encoding, and nothing else is read.

use eth_types::containers::{
    DepositMessage, SyncAggregatorSelectionData, SyncCommitteeMessage, ValidatorRegistration,
    VoluntaryExit,
};
use eth_types::duty::MAX_DUTY_BYTES;
use eth_types::{
    Duty, DutyError, DutyKind, Epoch, ExecutionAddress, ForkName, Message, Network, Preset,
    PublicKey, Root, Slot,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{
    TEST_GENESIS, aggregate, attestation, chain, config, contribution, fork_info, header,
    one_of_each,
};

/// Bytes before the message: kind, fork version, genesis validators root.
const HEAD: usize = 1 + 4 + 32;

fn duty(message: Message, network: &Network) -> Duty {
    let epoch = message.epoch(network).unwrap_or_default();
    Duty::new(message, Some(&fork_info(network, epoch)), network).unwrap()
}

#[test]
fn every_kind_comes_back_as_it_was() {
    for preset in [Preset::Mainnet, Preset::Gnosis, Preset::Minimal] {
        for fork in [ForkName::Electra, ForkName::Fulu, ForkName::Gloas] {
            let network = chain(preset, fork);
            for message in one_of_each(&network) {
                let duty = duty(message, &network);
                let bytes = duty.encode();
                assert!(bytes.len() <= MAX_DUTY_BYTES);
                assert_eq!(Duty::decode(&bytes, &network).unwrap(), duty, "{preset} {fork}");
            }
        }
    }
}

#[test]
fn the_longest_duty_is_within_the_bound() {
    let network = chain(Preset::Mainnet, ForkName::Fulu);
    let mut bits = vec![0xff; 131_072 / 8];
    bits.push(1);
    let longest = aggregate(17, &bits, Some(&[0xff; 8])).resolve(&network).unwrap();
    let duty = duty(Message::AggregateAndProof(longest), &network);
    let bytes = duty.encode();
    assert!(bytes.len() <= MAX_DUTY_BYTES && bytes.len() > MAX_DUTY_BYTES - 512);
    assert_eq!(Duty::decode(&bytes, &network).unwrap(), duty);
}

/// The bytes go between nodes of different releases, so they are written down here.
#[test]
fn encodings_do_not_change() {
    let network = chain(Preset::Minimal, ForkName::Fulu);
    let root = hex::encode([7; 32]);
    for (message, expected) in [
        (Message::AggregationSlot(Slot::new(17)), format!("0306000001{root}1100000000000000")),
        (Message::RandaoReveal(Epoch::new(3)), format!("0506000001{root}0300000000000000")),
        (
            Message::VoluntaryExit(VoluntaryExit { epoch: Epoch::new(4), validator_index: 13 }),
            format!("0703000001{root}04000000000000000d00000000000000"),
        ),
        (
            Message::SyncCommitteeSelectionProof(SyncAggregatorSelectionData {
                slot: Slot::new(17),
                subcommittee_index: 3,
            }),
            format!("0906000001{root}11000000000000000300000000000000"),
        ),
    ] {
        assert_eq!(hex::encode(duty(message, &network).encode()), expected);
    }
    let network = chain(Preset::Minimal, ForkName::Gloas);
    let tags: Vec<u8> = one_of_each(&network)
        .into_iter()
        .map(|message| duty(message, &network).encode()[0])
        .collect();
    assert_eq!(tags, (1..=16).collect::<Vec<u8>>());
}

#[test]
fn a_duty_of_another_network_is_refused() {
    let here = chain(Preset::Minimal, ForkName::Gloas);
    // The same configuration, another chain; then the same root, other versions.
    let text = config(Preset::Minimal, ForkName::Gloas);
    let other_root = Network::from_config_yaml(&text, Root::new([8; 32]), TEST_GENESIS).unwrap();
    let other_versions = Network::from_config_yaml(
        &text.replace("000001\n", "000002\n"),
        here.genesis_validators_root(),
        TEST_GENESIS,
    )
    .unwrap();
    for message in one_of_each(&here) {
        let kind = message.kind();
        let bytes = duty(message, &here).encode();
        match (kind, Duty::decode(&bytes, &other_root)) {
            // Their domain has no genesis validators root: they are the same duty there.
            (
                DutyKind::Deposit | DutyKind::ValidatorRegistration | DutyKind::BuilderRequestAuth,
                decoded,
            ) => assert!(decoded.is_ok()),
            (_, decoded) => assert!(
                matches!(decoded, Err(DutyError::GenesisValidatorsRoot { .. })),
                "{kind}: {decoded:?}"
            ),
        }
        let decoded = Duty::decode(&bytes, &other_versions);
        match kind {
            DutyKind::Deposit | DutyKind::ValidatorRegistration | DutyKind::BuilderRequestAuth => {
                assert!(matches!(decoded, Err(DutyError::GenesisForkVersion { .. })), "{kind}");
            }
            // Their form is Gloas': nothing is known of a later fork's.
            DutyKind::ExecutionPayloadBid | DutyKind::ExecutionPayloadEnvelope => {
                assert!(matches!(decoded, Err(DutyError::UnknownForm { .. })), "{kind}");
            }
            // In the last scheduled fork an unknown version may be one of a later fork; its
            // signature is of no use to anyone on this chain. An exit's version is fixed.
            DutyKind::VoluntaryExit => {
                assert!(matches!(decoded, Err(DutyError::ForkVersion { .. })), "{kind}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_version_of_another_epoch_is_refused() {
    let network = Network::by_name("mainnet").unwrap();
    let fulu = duty(Message::AggregationSlot(Slot::new(411_392 * 32)), &network).encode();
    for (version, right) in [
        ([6, 0, 0, 0], true),
        ([5, 0, 0, 0], false),
        ([0, 0, 0, 0], false),
        // Gloas has no date here yet.
        ([7, 0, 0, 0], true),
    ] {
        let mut bytes = fulu.clone();
        bytes[1..5].copy_from_slice(&version);
        assert_eq!(Duty::decode(&bytes, &network).is_ok(), right, "{version:?}");
    }
    let electra = duty(Message::AggregationSlot(Slot::new(411_392 * 32 - 1)), &network).encode();
    for version in [[6, 0, 0, 0], [7, 0, 0, 0], [9, 9, 9, 9]] {
        let mut bytes = electra.clone();
        bytes[1..5].copy_from_slice(&version);
        let error = Duty::decode(&bytes, &network).unwrap_err();
        assert!(matches!(error, DutyError::ForkVersion { .. }), "{error}");
    }
}

#[test]
fn an_exit_under_another_version_than_capellas_is_refused() {
    let network = Network::by_name("mainnet").unwrap();
    let exit = VoluntaryExit { epoch: Epoch::new(420_000), validator_index: 1 };
    let bytes = duty(Message::VoluntaryExit(exit), &network).encode();
    assert_eq!(bytes[1..5], [3, 0, 0, 0]);
    for version in [[4, 0, 0, 0], [6, 0, 0, 0], [7, 0, 0, 0], [2, 0, 0, 0], [9, 9, 9, 9]] {
        let mut bytes = bytes.clone();
        bytes[1..5].copy_from_slice(&version);
        let error = Duty::decode(&bytes, &network).unwrap_err();
        assert!(matches!(error, DutyError::ForkVersion { .. }), "{error}");
    }
}

#[test]
fn bytes_that_are_no_duty_are_refused_with_the_reason() {
    let network = chain(Preset::Minimal, ForkName::Fulu);
    let good = duty(Message::AggregationSlot(Slot::new(17)), &network).encode();
    let mut unknown = good.clone();
    unknown[0] = 0;
    let mut long = good.clone();
    long.push(0);
    for (bytes, expected) in [
        (Vec::new(), "an encoded duty begins with 37 bytes of head, found 0 bytes in all"),
        (
            good[..36].to_vec(),
            "an encoded duty begins with 37 bytes of head, found 36 bytes in all",
        ),
        (unknown, "0 is the tag of no kind of duty"),
        (
            good[..44].to_vec(),
            "the message of an encoded AGGREGATION_SLOT is not SSZ: InvalidByteLength { len: 7, \
             expected: 8 }",
        ),
        (
            long,
            "the message of an encoded AGGREGATION_SLOT is not SSZ: InvalidByteLength { len: 9, \
             expected: 8 }",
        ),
        (vec![1; MAX_DUTY_BYTES + 1], "an encoded duty has at most 16934 bytes, found 16935"),
    ] {
        assert_eq!(Duty::decode(&bytes, &network).unwrap_err().to_string(), expected);
    }
}

/// Any message of a chain that is in Fulu from the start.
fn message(network: Network) -> impl Strategy<Value = Message> {
    let minimal = network.preset() == Preset::Minimal;
    let (contribution_bytes, committee_bytes) = if minimal { (1, 1) } else { (16, 8) };
    let committee_mask = if minimal { 0x0f } else { 0xff };
    let epoch = 0..u64::MAX - 1;
    let root = any::<[u8; 32]>().prop_map(Root::new);
    let key = any::<[u8; 48]>().prop_map(PublicKey::new);
    let genesis_fork_version = network.genesis_fork_version();
    let (first, second) = (network.clone(), network);
    prop_oneof![
        (any::<u64>(), root.clone()).prop_map(|(slot, body_root)| {
            Message::Block(eth_types::containers::BeaconBlockHeader { body_root, ..header(slot) })
        }),
        (any::<u64>(), epoch.clone(), any::<u64>()).prop_map(|(slot, target, index)| {
            let mut data = attestation(slot, target);
            data.index = index;
            Message::Attestation(data)
        }),
        any::<u64>().prop_map(|slot| Message::AggregationSlot(Slot::new(slot))),
        (any::<u64>(), vec(any::<u8>(), 0..64), vec(any::<u8>(), committee_bytes)).prop_map(
            move |(slot, mut bits, committees)| {
                bits.push(1);
                let committees: Vec<u8> =
                    committees.into_iter().map(|byte| byte & committee_mask).collect();
                let raw = aggregate(slot, &bits, Some(&committees));
                Message::AggregateAndProof(raw.resolve(&first).unwrap())
            }
        ),
        epoch.clone().prop_map(|epoch| Message::RandaoReveal(Epoch::new(epoch))),
        (key.clone(), root.clone(), any::<u64>()).prop_map(
            move |(pubkey, withdrawal_credentials, amount)| {
                Message::Deposit(DepositMessage {
                    pubkey,
                    withdrawal_credentials,
                    amount,
                    genesis_fork_version,
                })
            }
        ),
        (epoch, any::<u64>()).prop_map(|(epoch, validator_index)| {
            Message::VoluntaryExit(VoluntaryExit { epoch: Epoch::new(epoch), validator_index })
        }),
        (any::<u64>(), root).prop_map(|(slot, beacon_block_root)| {
            let slot = Slot::new(slot);
            Message::SyncCommitteeMessage(SyncCommitteeMessage { slot, beacon_block_root })
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(slot, subcommittee_index)| {
            let slot = Slot::new(slot);
            let data = SyncAggregatorSelectionData { slot, subcommittee_index };
            Message::SyncCommitteeSelectionProof(data)
        }),
        (any::<u64>(), vec(any::<u8>(), contribution_bytes)).prop_map(move |(slot, bits)| {
            let raw = contribution(slot, &bits);
            Message::SyncCommitteeContributionAndProof(raw.resolve(&second).unwrap())
        }),
        (any::<[u8; 20]>(), any::<u64>(), any::<u64>(), key).prop_map(
            |(fee_recipient, gas_limit, timestamp, pubkey)| {
                let fee_recipient = ExecutionAddress::new(fee_recipient);
                Message::ValidatorRegistration(ValidatorRegistration {
                    fee_recipient,
                    gas_limit,
                    timestamp,
                    pubkey,
                })
            }
        ),
    ]
}

/// A network and a message of it.
fn network_and_message() -> impl Strategy<Value = (Network, Message)> {
    let preset = prop_oneof![Just(Preset::Mainnet), Just(Preset::Gnosis), Just(Preset::Minimal)];
    let fork = prop_oneof![Just(ForkName::Fulu), Just(ForkName::Gloas)];
    (preset, fork).prop_flat_map(|(preset, fork)| {
        let network = chain(preset, fork);
        (Just(network.clone()), message(network))
    })
}

proptest! {
    #[test]
    fn decoding_undoes_encoding((network, message) in network_and_message()) {
        let duty = duty(message, &network);
        let bytes = duty.encode();
        prop_assert!(bytes.len() <= MAX_DUTY_BYTES);
        let decoded = Duty::decode(&bytes, &network).unwrap();
        prop_assert_eq!(decoded.encode(), bytes);
        prop_assert_eq!(decoded, duty);
    }

    #[test]
    fn a_changed_encoding_is_refused_or_another_duty(
        (network, message) in network_and_message(),
        place in any::<prop::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let duty = duty(message, &network);
        let mut bytes = duty.encode();
        bytes[place.index(duty.encode().len())] ^= change;
        if let Ok(decoded) = Duty::decode(&bytes, &network) {
            // One duty, one encoding: other bytes can only be another duty.
            prop_assert_ne!(&decoded, &duty);
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }

    #[test]
    fn a_cut_or_lengthened_encoding_is_refused_or_another_duty(
        (network, message) in network_and_message(),
        len in any::<prop::sample::Index>(),
        more in vec(any::<u8>(), 1..40),
    ) {
        let duty = duty(message, &network);
        let bytes = duty.encode();
        let cut = bytes[..len.index(bytes.len())].to_vec();
        let longer = [&bytes[..], &more].concat();
        for changed in [cut, longer] {
            if let Ok(decoded) = Duty::decode(&changed, &network) {
                prop_assert_ne!(&decoded, &duty);
                prop_assert_eq!(decoded.encode(), changed);
            }
        }
    }

    #[test]
    fn bytes_of_a_right_head_and_a_random_message_never_panic(
        tag in 0..=12_u8,
        body in vec(any::<u8>(), 0..600),
        minimal in any::<bool>(),
    ) {
        let preset = if minimal { Preset::Minimal } else { Preset::Mainnet };
        let network = chain(preset, ForkName::Fulu);
        let version = network.fork_version(ForkName::Fulu).unwrap();
        let root = network.genesis_validators_root();
        let bytes = [&[tag][..], version.as_ref(), root.as_ref(), &body].concat();
        prop_assert!(bytes.len() >= HEAD);
        if let Ok(duty) = Duty::decode(&bytes, &network) {
            prop_assert_eq!(duty.encode(), bytes);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let network = chain(Preset::Mainnet, ForkName::Fulu);
        if let Ok(duty) = Duty::decode(&bytes, &network) {
            prop_assert_eq!(duty.encode(), bytes);
        }
    }
}
