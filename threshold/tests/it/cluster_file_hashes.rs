//! The hashes of published cluster files. Their points and signatures are random bytes, so that only
//! hashes can be checked with them.

use threshold::cluster_file::{ClusterDefinition, ClusterLock};

use crate::support::read_vector;

#[test]
fn published_definitions_hash_to_what_they_state_and_are_written_as_they_were() {
    for name in ["cluster_definition_v1_8_0.json", "cluster_definition_v1_10_0.json"] {
        let Some(text) = read_vector("cluster", name) else { return };
        let definition: ClusterDefinition = serde_json::from_str(&text).unwrap();
        assert_eq!(definition.computed_config_hash().unwrap(), definition.config_hash, "{name}");
        assert_eq!(definition.computed_definition_hash(), Ok(definition.definition_hash), "{name}");
        assert_eq!(definition.to_json().unwrap().trim_end(), text.trim_end(), "{name}");
    }
}

#[test]
fn published_locks_hash_to_what_they_state_and_are_written_as_they_were() {
    for name in ["cluster_lock_v1_8_0.json", "cluster_lock_v1_10_0.json"] {
        let Some(text) = read_vector("cluster", name) else { return };
        let lock: ClusterLock = serde_json::from_str(&text).unwrap();
        assert_eq!(lock.computed_lock_hash(), Ok(lock.lock_hash), "{name}");
        assert_eq!(lock.to_json().unwrap().trim_end(), text.trim_end(), "{name}");
    }
}

/// The same cluster in the versions between and after: known hashes, one change in the format each.
#[test]
fn the_published_cluster_in_other_versions_has_the_known_hashes() {
    let Some(text) = read_vector("cluster", "cluster_lock_v1_10_0.json") else { return };
    let cases = [
        (
            "v1.9.0",
            "0x106b5056b1f4ec7fa61fa5d5c62d555cada57d238f076b1f2b605ee192ca3249",
            "0x6ffb319725adc05b8bfce2b1fed2f98868ef2a4e67f3d32b9b11151014bc6b26",
            Some("0x6a2e65973460f2392c797ccee621cdce72dc4eb3536d3afa7a5d0947e2d2adc0"),
        ),
        (
            "v1.11.0",
            "0x9f889a6e78ca1f4637fab903ccaef6919e70ff35bcc43022512dbb843232d575",
            "0x1d3f0ecd993b4dc1083fe39b3a5970f3f3824b82a63791a16e9d3e4e289ed9e4",
            None,
        ),
    ];
    for (version, config_hash, definition_hash, lock_hash) in cases {
        let mut lock: ClusterLock =
            serde_json::from_str(&text.replace("v1.10.0", version)).unwrap();
        lock.cluster_definition = lock.cluster_definition.seal().unwrap();
        assert_eq!(lock.cluster_definition.config_hash.to_string(), config_hash, "{version}");
        assert_eq!(
            lock.cluster_definition.definition_hash.to_string(),
            definition_hash,
            "{version}"
        );
        if let Some(lock_hash) = lock_hash {
            assert_eq!(lock.computed_lock_hash().unwrap().to_string(), lock_hash, "{version}");
        }
    }
}

#[test]
fn versions_that_are_not_known_are_refused_by_name() {
    let Some(text) = read_vector("cluster", "cluster_definition_v1_10_0.json") else { return };
    for version in ["v1.7.0", "v1.12.0", "v2.0.0", ""] {
        let text = text.replace("v1.10.0", version);
        let error = serde_json::from_str::<ClusterDefinition>(&text).unwrap_err().to_string();
        let expected = format!(
            "version {version:?} of the cluster files is not supported, expected v1.8.0 to v1.11.0"
        );
        assert!(error.starts_with(&expected), "{error}");
    }
}

/// Every field is covered by the hash that ought to cover it.
#[test]
fn a_change_anywhere_changes_the_hashes() {
    let Some(text) = read_vector("cluster", "cluster_lock_v1_10_0.json") else { return };
    let original: ClusterLock = serde_json::from_str(&text).unwrap();
    // What is changed, and whether the configuration hash changes with it.
    let cases = [
        ("0194FDC2", "0194FDC3", true),
        ("\"test definition\"", "\"test definitioN\"", true),
        ("2022-07-19", "2022-07-18", true),
        ("\"num_validators\": 2", "\"num_validators\": 3", true),
        ("\"threshold\": 3", "\"threshold\": 2", true),
        ("\"default\"", "\"frost\"", true),
        ("0x90000069", "0x90000068", true),
        ("0xe0255aa5b7", "0xe0255aa5b8", true),
        ("0x6325253fec", "0x6325253fed", true),
        ("0x52fdfc07", "0x52fdfc08", true),
        ("0x81855ad8", "0x81855ad9", true),
        ("\"16000000000\",", "\"16000000001\",", true),
        ("\"abft\"", "\"\"", true),
        ("\"target_gas_limit\": 30000000", "\"target_gas_limit\": 30000001", true),
        ("\"compounding\": false", "\"compounding\": true", true),
        ("enr:-HW4QNHE", "enr:-HW4QNHF", false),
        ("0x42940403", "0x42940404", false),
        ("0x067d89bc", "0x067d89bd", false),
        ("0x844592d2", "0x844592d3", false),
    ];
    for (from, to, in_config_hash) in cases {
        assert!(text.contains(from), "{from}");
        let lock: ClusterLock = serde_json::from_str(&text.replace(from, to)).unwrap();
        let definition = &lock.cluster_definition;
        let config_hash = definition.computed_config_hash().unwrap();
        assert_eq!(config_hash != definition.config_hash, in_config_hash, "{from}");
        assert_ne!(definition.computed_definition_hash(), Ok(definition.definition_hash), "{from}");
        assert_ne!(lock.computed_lock_hash(), Ok(original.lock_hash), "{from}");
    }
    for (from, to) in [
        ("0x6865fcf92b", "0x6865fcf92c"),
        ("0x526f1814be", "0x526f1814bf"),
        ("0x9be1072fb6", "0x9be1072fb7"),
        ("\"gas_limit\": 30000000", "\"gas_limit\": 30000001"),
        ("1655733600", "1655733601"),
        ("0x15d9afbcbf", "0x15d9afbcc0"),
        ("0x5abf44ccde", "0x5abf44ccdf"),
        ("5159484672389300587", "5159484672389300588"),
        ("0x8d12f41257", "0x8d12f41258"),
    ] {
        assert!(text.contains(from), "{from}");
        let lock: ClusterLock = serde_json::from_str(&text.replace(from, to)).unwrap();
        assert_eq!(lock.cluster_definition, original.cluster_definition, "{from}");
        assert_ne!(lock.computed_lock_hash(), Ok(original.lock_hash), "{from}");
    }
}
