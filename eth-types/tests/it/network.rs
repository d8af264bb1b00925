//! Networks: the built-in ones, configurations, slots and time.

use std::time::Duration;

use eth_types::network::{MAX_CONFIG_BYTES, NETWORK_NAMES};
use eth_types::{Epoch, ForkName, Network, NetworkError, Preset, Root, Slot};

use crate::support::{TEST_GENESIS, TEST_ROOT, chain, config};

fn read(text: &str) -> Result<Network, NetworkError> {
    Network::from_config_yaml(text, TEST_ROOT, TEST_GENESIS)
}

#[test]
fn built_in_networks_have_their_published_constants() {
    for (name, chain_id, genesis_fork_version, genesis_time, slots_per_epoch) in [
        ("mainnet", 1, "0x00000000", 1_606_824_023, 32),
        ("hoodi", 560_048, "0x10000910", 1_742_213_400, 32),
        ("sepolia", 11_155_111, "0x90000069", 1_655_733_600, 32),
        ("gnosis", 100, "0x00000064", 1_638_993_340, 16),
        ("chiado", 10_200, "0x0000006f", 1_665_396_300, 16),
    ] {
        let network = Network::by_name(name).unwrap();
        assert_eq!(network.name(), name);
        assert_eq!(network.chain_id(), chain_id);
        assert_eq!(network.genesis_fork_version().to_string(), genesis_fork_version);
        assert_eq!(network.genesis_time(), genesis_time);
        assert_eq!(network.slots_per_epoch().get(), slots_per_epoch);
    }
    assert_eq!(NETWORK_NAMES.len(), 5);
}

/// Each moment is one that was announced with the epoch.
#[test]
fn forks_of_built_in_networks_begin_when_they_were_announced() {
    for (name, fork, epoch, unix) in [
        ("mainnet", ForkName::Fulu, 411_392, 1_764_798_551),
        ("hoodi", ForkName::Fulu, 50_688, 1_761_677_592),
        ("sepolia", ForkName::Gloas, 353_024, 1_791_294_816),
        ("gnosis", ForkName::Fulu, 1_714_688, 1_776_168_380),
        ("chiado", ForkName::Fulu, 1_353_216, 1_773_653_580),
    ] {
        let network = Network::by_name(name).unwrap();
        let epoch = Epoch::new(epoch);
        assert_eq!(network.fork_epoch(fork), Some(epoch), "{name}");
        let start = network.slot_start(epoch.start_slot(network.slots_per_epoch()));
        assert_eq!(start, unix * 1000, "{name}");
        assert_eq!(network.fork_at(epoch), fork);
        assert!(network.fork_at(epoch.saturating_sub(1)) < fork);
        assert_eq!(network.fork_version_at(epoch), network.fork_version(fork));
    }
}

#[test]
fn of_forks_at_one_epoch_the_last_counts() {
    let hoodi = Network::by_name("hoodi").unwrap();
    assert_eq!(hoodi.fork_at(Epoch::new(0)), ForkName::Deneb);
    assert_eq!(hoodi.fork_epoch(ForkName::Altair), Some(Epoch::new(0)));
    assert_eq!(hoodi.fork_version_at(Epoch::new(0)).unwrap().to_string(), "0x50000910");
}

#[test]
fn a_fork_without_a_date_has_a_version_and_no_epoch() {
    let mainnet = Network::by_name("mainnet").unwrap();
    assert_eq!(mainnet.fork_epoch(ForkName::Gloas), None);
    assert_eq!(mainnet.fork_version(ForkName::Gloas).unwrap().to_string(), "0x07000000");
    assert_eq!(mainnet.fork_at(Epoch::new(u64::MAX - 1)), ForkName::Fulu);
    assert_eq!(mainnet.fork_version_at(Epoch::new(u64::MAX)), None);
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    let error = Network::by_name("goerli").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no network \"goerli\" is built in, only mainnet, hoodi, sepolia, gnosis, chiado: give the \
         path of its config.yaml"
    );
}

#[test]
fn slots_and_time_convert_at_the_edges() {
    let network = chain(Preset::Minimal, ForkName::Fulu);
    assert_eq!(network.slot_duration(), Duration::from_secs(6));
    assert_eq!(network.slot_start(Slot::new(0)), 1_000_000);
    assert_eq!(network.slot_start(Slot::new(3)), 1_018_000);
    assert_eq!(network.slot_start(Slot::new(u64::MAX)), u64::MAX);
    for (millis, slot) in [
        (0, None),
        (999_999, None),
        (1_000_000, Some(0)),
        (1_005_999, Some(0)),
        (1_006_000, Some(1)),
        (1_018_000, Some(3)),
    ] {
        assert_eq!(network.slot_at(millis), slot.map(Slot::new), "{millis}");
    }
}

#[test]
fn attestations_are_due_at_a_third_of_the_slot_or_where_the_configuration_says() {
    let third = Network::by_name("mainnet").unwrap();
    assert_eq!(third.attestation_due(), Duration::from_secs(4));

    let text = config(Preset::Minimal, ForkName::Gloas)
        .replace("GLOAS_FORK_EPOCH: 0", "GLOAS_FORK_EPOCH: 2")
        .replace("SECONDS_PER_SLOT: 6", "SLOT_DURATION_MS: 5000\nSECONDS_PER_SLOT: 6");
    let text = text + "ATTESTATION_DUE_BPS: 3000\nATTESTATION_DUE_BPS_GLOAS: 2000\n";
    let network = read(&text).unwrap();
    assert_eq!(network.slot_duration(), Duration::from_secs(5));
    assert_eq!(network.attestation_due(), Duration::from_millis(1500));
    assert_eq!(network.attestation_due_at(Slot::new(15)), Duration::from_millis(1500));
    assert_eq!(network.attestation_due_at(Slot::new(16)), Duration::from_secs(1));
}

/// The shape of consensus-specs `configs/minimal.yaml`: comments, quotes, lists, and versions that a
/// YAML reader would take for numbers.
#[test]
fn a_configuration_is_read_as_text_and_not_as_numbers() {
    let network = read(
        "# Minimal config\n\
         PRESET_BASE: 'minimal'\n\
         CONFIG_NAME: \"devnet-1\"  # a comment\n\
         GENESIS_FORK_VERSION: 0x00000001\n\
         ALTAIR_FORK_VERSION: 0x01000001\n\
         ALTAIR_FORK_EPOCH: 0\n\
         BELLATRIX_FORK_VERSION: '0x02000001'\n\
         BELLATRIX_FORK_EPOCH: \"3\"\n\
         CAPELLA_FORK_VERSION: 0x03000001\n\
         CAPELLA_FORK_EPOCH: 18446744073709551615\n\
         EIP7805_FORK_VERSION: 0x0a000001\n\
         TERMINAL_TOTAL_DIFFICULTY: 115792089237316195423570985008687907853269984665640564039457584007913129638912\n\
         SECONDS_PER_SLOT: 6\n\
         DEPOSIT_CHAIN_ID: 5\n\
         BLOB_SCHEDULE:\n  - EPOCH: 7\n    MAX_BLOBS_PER_BLOCK: 15\n\
         NESTED: {DEPOSIT_CHAIN_ID: 6, PRESET_BASE: mainnet}\n",
    )
    .unwrap();
    assert_eq!(network.name(), "devnet-1");
    assert_eq!(network.preset(), Preset::Minimal);
    assert_eq!(network.slots_per_epoch().get(), 8);
    assert_eq!(network.chain_id(), 5);
    assert_eq!(network.genesis_fork_version().to_string(), "0x00000001");
    assert_eq!(network.fork_epoch(ForkName::Bellatrix), Some(Epoch::new(3)));
    assert_eq!(network.fork_version(ForkName::Bellatrix).unwrap().to_string(), "0x02000001");
    assert_eq!(network.fork_epoch(ForkName::Capella), None);
    assert_eq!(network.fork_epoch(ForkName::Deneb), None);
    assert_eq!(network.fork_version(ForkName::Deneb), None);
    assert_eq!(network.genesis_validators_root(), TEST_ROOT);
    assert_eq!(network.genesis_time(), TEST_GENESIS);
}

#[test]
fn a_configuration_in_json_says_the_same_as_in_yaml() {
    let yaml = config(Preset::Gnosis, ForkName::Electra);
    let fields: Vec<String> = yaml
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| format!("\"{key}\": \"{}\"", value.trim_matches('\'')))
        .collect();
    let json =
        format!("{{\n  {},\n  \"BLOB_SCHEDULE\": [{{\"EPOCH\": \"1\"}}]\n}}", fields.join(",\n  "));
    assert_eq!(read(&json).unwrap(), read(&yaml).unwrap());
}

#[test]
fn an_epoch_of_another_length_than_the_presets_is_taken() {
    let text = config(Preset::Mainnet, ForkName::Altair) + "SLOTS_PER_EPOCH: 16\n";
    assert_eq!(read(&text).unwrap().slots_per_epoch().get(), 16);
}

#[test]
fn a_configuration_that_is_none_is_refused_with_the_key() {
    let good = config(Preset::Minimal, ForkName::Fulu);
    let long = "x".repeat(MAX_CONFIG_BYTES + 1);
    let missing = "the network configuration has no ";
    for (text, expected) in [
        (String::new(), "the network configuration is not a mapping".to_owned()),
        ("- a\n- b\n".to_owned(), "the network configuration is not a mapping".to_owned()),
        ("just text".to_owned(), "the network configuration is not a mapping".to_owned()),
        ("A: [1".to_owned(), "the network configuration is not YAML: ".to_owned()),
        (long, format!("the network configuration has {} bytes", MAX_CONFIG_BYTES + 1)),
        ("PRESET_BASE: minimal\n".to_owned(), format!("{missing}GENESIS_FORK_VERSION")),
        (
            good.replace("FULU_FORK_VERSION", "OTHER_FORK_VERSION"),
            format!("{missing}FULU_FORK_VERSION"),
        ),
        (
            good.replace("'minimal'", "mini"),
            "expected preset mainnet, gnosis or minimal, found \"mini\"".to_owned(),
        ),
        (
            good.replace("0x06000001", "0x060001"),
            "FULU_FORK_VERSION in the network configuration: expected a fork version of 4 bytes, \
             found \"0x060001\""
                .to_owned(),
        ),
        (
            good.replace("FULU_FORK_EPOCH: 0", "FULU_FORK_EPOCH: soon"),
            "FULU_FORK_EPOCH in the network configuration: expected a whole number, found \"soon\""
                .to_owned(),
        ),
        (
            good.replace("SECONDS_PER_SLOT: 6", "SECONDS_PER_SLOT: 0"),
            "SECONDS_PER_SLOT in the network configuration: expected a number above zero"
                .to_owned(),
        ),
        (
            good.clone() + "ATTESTATION_DUE_BPS: 10001\n",
            "ATTESTATION_DUE_BPS in the network configuration: expected at most 10000".to_owned(),
        ),
        (
            good.clone() + "SYNC_COMMITTEE_SIZE: 64\n",
            "SYNC_COMMITTEE_SIZE is 64 in the network configuration, but 32 in preset minimal"
                .to_owned(),
        ),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.starts_with(&expected), "expected {expected:?}, found {error:?}");
    }
}

#[test]
fn a_schedule_that_cannot_be_is_refused() {
    let good = config(Preset::Minimal, ForkName::Fulu);
    for (text, expected) in [
        (
            good.replace("ELECTRA_FORK_EPOCH: 0", "ELECTRA_FORK_EPOCH: 9"),
            "FULU begins at epoch 0, before ELECTRA at epoch 9",
        ),
        (
            good.replace("DENEB_FORK_EPOCH: 0", "DENEB_FORK_EPOCH: 18446744073709551615"),
            "ELECTRA is scheduled at epoch 0, but DENEB before it is not",
        ),
        (
            good.replace("0x05000001", "0x04000001"),
            "DENEB and ELECTRA have one version, 0x04000001",
        ),
    ] {
        let NetworkError::Schedule(error) = read(&text).unwrap_err() else {
            panic!("not refused for its schedule")
        };
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_zero_genesis_validators_root_is_refused() {
    let text = config(Preset::Minimal, ForkName::Fulu);
    let error = Network::from_config_yaml(&text, Root::ZERO, 0).unwrap_err();
    assert_eq!(error, NetworkError::ZeroGenesisValidatorsRoot);
}

/// A fork that comes after this program, and features that never got a date.
#[test]
fn forks_that_are_not_known_by_name_are_taken_from_the_configuration() {
    let text = config(Preset::Mainnet, ForkName::Gloas)
        + "HEZE_FORK_VERSION: 0x08000001\nHEZE_FORK_EPOCH: 100\n\
           IZAR_FORK_VERSION: 0x09000001\nIZAR_FORK_EPOCH: 200\n\
           EIP7441_FORK_VERSION: 0x0a000001\nEIP7441_FORK_EPOCH: 18446744073709551615\n\
           EIP8045_FORK_VERSION: 0x0a000001\nEIP8045_FORK_EPOCH: 18446744073709551615\n";
    let network = read(&text).unwrap();
    for (epoch, expected) in
        [(0, "0x07000001"), (99, "0x07000001"), (100, "0x08000001"), (200, "0x09000001")]
    {
        let epoch = Epoch::new(epoch);
        assert_eq!(network.fork_version_at(epoch).unwrap().to_string(), expected, "{epoch}");
        assert_eq!(network.fork_at(epoch), ForkName::Gloas);
    }
    assert_eq!(network.fork_epoch(ForkName::Gloas), Some(Epoch::new(0)));
    assert_eq!(network.fork_version(ForkName::Gloas).unwrap().to_string(), "0x07000001");
}

#[test]
fn a_fork_that_is_not_known_by_name_and_has_half_a_definition_is_refused() {
    let text = config(Preset::Mainnet, ForkName::Fulu);
    let error = read(&(text.clone() + "HEZE_FORK_EPOCH: 100\n")).unwrap_err();
    assert!(error.to_string().contains("HEZE_FORK_VERSION"), "{error}");
    let same = text + "HEZE_FORK_EPOCH: 100\nHEZE_FORK_VERSION: 0x06000001\n";
    assert!(matches!(read(&same), Err(NetworkError::Schedule(_))));
}
