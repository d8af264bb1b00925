//! The leniency that clients need, and where it ends.

use eth_types::containers::{
    AttestationData, HexBits, MAX_BITS_BYTES, RawAggregateAndProof, RawBeaconBlock,
    ValidatorRegistration,
};
use eth_types::{ForkInfo, ForkName, Preset};
use serde_json::{Value, json};

use crate::support::{aggregate, attestation, chain, contribution};

#[test]
fn numbers_may_be_bare_hex_may_be_upper_case_and_unknown_fields_are_ignored() {
    let expected = attestation(17, 2);
    let mut value = serde_json::to_value(expected).unwrap();
    value["slot"] = json!(17);
    value["index"] = json!(1);
    value["target"]["epoch"] = json!(2);
    value["beacon_block_root"] = json!(format!("0X{}", "0A".repeat(32)));
    value["committee"] = json!({"unknown": [1, null]});
    let read: AttestationData = serde_json::from_value(value).unwrap();
    assert_eq!(read.slot, expected.slot);
    assert_eq!(read.target, expected.target);
    assert_eq!(read.beacon_block_root.as_bytes(), &[0x0a; 32]);
}

#[test]
fn a_missing_field_or_a_wrong_length_is_refused_with_its_name() {
    let good = serde_json::to_value(attestation(17, 2)).unwrap();
    let mut missing = good.clone();
    missing.as_object_mut().unwrap().remove("source");
    let error = serde_json::from_value::<AttestationData>(missing).unwrap_err();
    assert!(error.to_string().contains("missing field `source`"), "{error}");

    let mut short = good;
    short["beacon_block_root"] = json!("0x1111");
    let error = serde_json::from_value::<AttestationData>(short).unwrap_err();
    assert!(error.to_string().contains("expected 32 bytes of hex, found 4"), "{error}");
}

#[test]
fn fork_info_has_web3signers_shape() {
    let info: ForkInfo = serde_json::from_value(json!({
        "fork": {"previous_version": "0x04000000", "current_version": "0x05000000", "epoch": "364032"},
        "genesis_validators_root": format!("0x{}", "11".repeat(32)),
    }))
    .unwrap();
    assert_eq!(info.fork.epoch.as_u64(), 364_032);
    assert_eq!(info.fork.current_version.as_bytes(), &[5, 0, 0, 0]);
    assert_eq!(
        serde_json::to_value(info).unwrap()["fork"]["epoch"],
        Value::String("364032".to_owned())
    );
}

#[test]
fn registrations_keep_their_shape() {
    let text = json!({
        "fee_recipient": "0x6fdfab408c56b6105a76eff5c0435d09fc6ed7a9",
        "gas_limit": "45000000",
        "timestamp": "1663659442",
        "pubkey": format!("0x{}", "ab".repeat(48)),
    });
    let registration: ValidatorRegistration = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(registration).unwrap(), text);
}

#[test]
fn null_committee_bits_count_as_none() {
    let deneb = chain(Preset::Mainnet, ForkName::Deneb);
    let raw = aggregate(17, &[1], None);
    let mut value = serde_json::to_value(&raw).unwrap();
    value["aggregate"]["committee_bits"] = Value::Null;
    let read: RawAggregateAndProof = serde_json::from_value(value).unwrap();
    assert_eq!(read, raw);
    assert!(read.resolve(&deneb).is_ok());
}

#[test]
fn aggregates_take_the_form_of_their_slots_fork() {
    let electra = chain(Preset::Minimal, ForkName::Electra);
    let error = aggregate(17, &[1], None).resolve(&electra).unwrap_err();
    assert_eq!(
        error.to_string(),
        "aggregate.committee_bits is missing: ELECTRA has it, and slot 17 is in epoch 2 of ELECTRA"
    );

    let mainnet = eth_types::Network::by_name("mainnet").unwrap();
    let error = aggregate(17, &[1], Some(&[1; 8])).resolve(&mainnet).unwrap_err();
    assert_eq!(
        error.to_string(),
        "aggregate.committee_bits is there, but slot 17 is in epoch 0 of PHASE0, which has none"
    );
}

/// The bounds of each form: the longest that is read, and the shortest that is too long.
#[test]
fn bitfields_of_another_size_than_the_presets_are_refused() {
    let list = |bits: usize| {
        let mut bytes = vec![0; bits / 8 + 1];
        bytes[bits / 8] = 1 << (bits % 8);
        bytes
    };
    for (preset, fork, most, committees) in [
        (Preset::Mainnet, ForkName::Deneb, 2048, None),
        (Preset::Minimal, ForkName::Deneb, 2048, None),
        (Preset::Mainnet, ForkName::Electra, 131_072, Some(8)),
        (Preset::Gnosis, ForkName::Fulu, 131_072, Some(8)),
        (Preset::Minimal, ForkName::Electra, 8192, Some(1)),
    ] {
        let network = chain(preset, fork);
        let committees = committees.map(|bytes| vec![1; bytes]);
        let resolve = |bits: &[u8]| aggregate(17, bits, committees.as_deref()).resolve(&network);
        assert!(resolve(&list(most)).is_ok(), "{preset} {fork}");
        assert!(resolve(&list(0)).is_ok(), "{preset} {fork}");
        if most < 131_072 {
            let error = resolve(&list(most + 1)).unwrap_err().to_string();
            let expected =
                format!("aggregate.aggregation_bits is not a bit list of at most {most}");
            assert!(error.starts_with(&expected), "{error}");
        }
        assert!(resolve(&[]).is_err(), "no length bit");
        assert!(resolve(&[1, 0]).is_err(), "the length bit is not in the last byte");
        if let Some(committees) = committees {
            let mut wrong = committees;
            wrong.push(0);
            let error = aggregate(17, &[1], Some(&wrong)).resolve(&network).unwrap_err();
            assert!(error.to_string().starts_with("aggregate.committee_bits is not"), "{error}");
        }
    }
    // Four committees: the upper half of the byte has to be empty.
    let minimal = chain(Preset::Minimal, ForkName::Electra);
    assert!(aggregate(17, &[1], Some(&[0x1f])).resolve(&minimal).is_err());
    assert!(contribution(17, &[1]).resolve(&minimal).is_ok());
    assert!(contribution(17, &[1; 16]).resolve(&minimal).is_err());
    assert!(contribution(17, &[1]).resolve(&chain(Preset::Gnosis, ForkName::Fulu)).is_err());
}

#[test]
fn more_bits_than_any_form_has_are_refused_before_they_are_decoded() {
    let text = |bytes: usize| json!(format!("0x{}", "01".repeat(bytes)));
    assert!(serde_json::from_value::<HexBits>(text(MAX_BITS_BYTES)).is_ok());
    let error = serde_json::from_value::<HexBits>(text(MAX_BITS_BYTES + 1)).unwrap_err();
    assert_eq!(error.to_string(), "invalid length 16386, expected at most 16385 bytes of hex");
    assert!(serde_json::from_value::<HexBits>(json!("0x0g")).is_err());
    assert!(serde_json::from_value::<HexBits>(json!("0x0")).is_err());
}

/// A block without operations, which only differs in what the fork of its slot makes of it.
#[test]
fn whole_blocks_are_taken_up_to_altair_and_have_their_forks_body() {
    let hex = |byte: &str, len: usize| format!("0x{}", byte.repeat(len));
    let mut block = json!({
        "slot": "17", "proposer_index": "4",
        "parent_root": hex("01", 32), "state_root": hex("02", 32),
        "body": {
            "randao_reveal": hex("03", 96),
            "eth1_data": {
                "deposit_root": hex("04", 32), "deposit_count": "5", "block_hash": hex("06", 32),
            },
            "graffiti": hex("07", 32),
            "proposer_slashings": [], "attester_slashings": [], "attestations": [],
            "deposits": [], "voluntary_exits": [],
        },
    });
    let header = |block: &Value, fork| {
        let raw: RawBeaconBlock = serde_json::from_value(block.clone()).unwrap();
        raw.header(&chain(Preset::Minimal, fork)).map_err(|error| error.to_string())
    };
    let phase0 = header(&block, ForkName::Phase0).unwrap();
    assert_eq!((phase0.slot.as_u64(), phase0.proposer_index), (17, 4));
    let missing =
        "body.sync_aggregate is missing: ALTAIR has it, and slot 17 is in epoch 2 of ALTAIR";
    assert_eq!(header(&block, ForkName::Altair).unwrap_err(), missing);
    let whole = "a whole block is taken up to ALTAIR, but slot 17 is in epoch 2 of BELLATRIX: send \
                 its block_header";
    assert_eq!(header(&block, ForkName::Bellatrix).unwrap_err(), whole);

    block["body"]["sync_aggregate"] = json!({
        "sync_committee_bits": hex("0f", 4), "sync_committee_signature": hex("08", 96),
    });
    let altair = header(&block, ForkName::Altair).unwrap();
    assert_ne!(altair.body_root, phase0.body_root);
    let unexpected =
        "body.sync_aggregate is there, but slot 17 is in epoch 2 of PHASE0, which has none";
    assert_eq!(header(&block, ForkName::Phase0).unwrap_err(), unexpected);
    assert_eq!(header(&block, ForkName::Bellatrix).unwrap_err(), whole);

    block["body"]["sync_aggregate"]["sync_committee_bits"] = json!(hex("0f", 64));
    let size = "body.sync_aggregate.sync_committee_bits is not a bit vector of 32 bits";
    assert!(header(&block, ForkName::Altair).unwrap_err().starts_with(size));
}
