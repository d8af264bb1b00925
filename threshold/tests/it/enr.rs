//! Node records as published cluster files have them.

use threshold::cluster_file::ClusterDefinition;
use threshold::enr::Enr;

use crate::support::read_vector;

#[test]
fn the_records_of_published_definitions_are_read_and_written_as_they_were() {
    for name in ["cluster_definition_v1_8_0.json", "cluster_definition_v1_10_0.json"] {
        let Some(text) = read_vector("cluster", name) else { return };
        let definition: ClusterDefinition = serde_json::from_str(&text).unwrap();
        for operator in &definition.operators {
            let enr = Enr::parse(&operator.enr).unwrap();
            assert_eq!(enr.as_str(), operator.enr);
            assert_eq!(enr.sequence(), 0);
        }
    }
}
