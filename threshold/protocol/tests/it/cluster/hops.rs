//! How many messages one after another it takes until every client has its signature. Each message is on
//! its way for one millisecond and nothing else takes any time, so that milliseconds are hops.

use eth_types::Slot;
use eth_types::duty::Duty;
use threshold_protocol::{KeyIndex, OperatorIndex};

use super::clients::{block_of, proposer};
use super::duties;
use super::links::Weather;
use super::simulation::{Cluster, Setup};
use crate::support::{EPOCH, SLOT, attestation};

const SIZES: [(usize, usize); 3] = [(4, 3), (7, 5), (3, 2)];

/// The slot whose duties are counted; operator 0 is not its leader in any of the clusters.
const COUNTED: Slot = Slot::new(SLOT.as_u64() + 1);

#[test]
fn an_attestation_on_which_all_clients_agree_takes_two_hops() {
    for size in SIZES {
        let mut cluster = quiet("hops-attestation", size);
        cluster.run_to(COUNTED, 4_000);
        let vote = vote(&cluster);
        let hops = ask(&mut cluster, |_| true, |_| vote.clone());
        assert_eq!(hops, vec![2; size.0], "{size:?}");
    }
}

#[test]
fn a_block_takes_three_hops() {
    for size in SIZES {
        let mut cluster = quiet("hops-block", size);
        cluster.run_to(COUNTED, 300);
        let network = cluster.network().clone();
        let leader = cluster.common.quorum.in_turn(COUNTED.as_u64());
        let start = cluster.now;
        let ids: Vec<_> = cluster
            .operators()
            .filter_map(|operator| {
                let block = block_of(operator, COUNTED, &network);
                Some((operator, cluster.ask(operator, proposer(COUNTED), block, 0)?))
            })
            .collect();
        cluster.run_for(50);
        for (operator, id) in ids {
            let (at, outcome) = cluster.asked[&id].outcome.clone().unwrap();
            // Of three operators two are a quorum: the leader, and whoever hears it.
            let saved = u64::from(size == (3, 2));
            if operator == leader {
                assert!(outcome.is_ok(), "the leader's block is signed: {outcome:?}");
                assert_eq!(at - start, 3 - saved, "{size:?}");
            } else {
                // It learns of it with the certificate.
                assert!(outcome.is_err(), "one block is signed");
                assert_eq!(at - start, 2 - saved, "{size:?}");
            }
        }
    }
}

#[test]
fn a_co_signed_duty_for_which_all_clients_ask_takes_one_hop() {
    for size in SIZES {
        let mut cluster = quiet("hops-co-signed", size);
        cluster.run_to(COUNTED, 0);
        let randao = duties::randao(EPOCH, cluster.network());
        let hops = ask(&mut cluster, |_| true, |_| randao.clone());
        assert_eq!(hops, vec![1; size.0], "{size:?}");
    }
}

#[test]
fn a_co_signed_duty_for_which_one_client_asks_takes_two_hops_and_the_others_none() {
    for size in SIZES {
        let mut cluster = quiet("hops-co-signed-one", size);
        cluster.run_to(COUNTED, 0);
        let randao = duties::randao(EPOCH, cluster.network());
        let hops = ask(&mut cluster, |operator| operator.get() == 0, |_| randao.clone());
        assert_eq!(hops, [2], "{size:?}");
        let hops = ask(&mut cluster, |operator| operator.get() != 0, |_| randao.clone());
        assert_eq!(hops, vec![0; size.0 - 1], "{size:?}: all hold what all will ask for");
    }
}

#[test]
fn with_one_client_in_the_cluster_agreement_takes_two_hops_and_the_signature_four() {
    for size in SIZES {
        let mut cluster = quiet("hops-one-client", size);
        cluster.run_to(COUNTED, 4_000);
        let vote = vote(&cluster);
        let hops = ask(&mut cluster, |operator| operator.get() == 0, |_| vote.clone());
        assert_eq!(hops, [4], "{size:?}");
    }
}

#[test]
fn a_stopped_node_costs_no_hop() {
    for size in SIZES {
        let mut cluster = quiet("hops-stopped", size);
        for stopped in cluster.operators().take(size.0 - size.1) {
            cluster.crash(stopped);
        }
        cluster.run_to(COUNTED, 4_000);
        let vote = vote(&cluster);
        let hops = ask(&mut cluster, |_| true, |_| vote.clone());
        assert_eq!(hops, vec![2; size.1], "{size:?}");
    }
}

#[test]
fn agreement_costs_the_same_whatever_the_number_of_validators() {
    let messages = [1, 64].map(|validators| {
        let mut cluster = quiet("hops-validators", (4, 3));
        cluster.run_to(COUNTED, 4_000);
        let vote = vote(&cluster);
        for validator in (0..validators).map(KeyIndex::new) {
            for operator in cluster.operators() {
                cluster.ask(operator, validator, vote.clone(), 0).unwrap();
            }
        }
        cluster.run_for(100);
        assert!(cluster.asked.values().all(|asked| asked.is_signed()));
        ["ENDORSE", "LOCK"].map(|name| cluster.sent[name])
    });
    // Each of four nodes sends one of each to three.
    assert_eq!(messages, [[12, 12], [12, 12]]);
}

/// A cluster in no weather whose clients ask for nothing by themselves.
fn quiet(name: &str, (operators, threshold): (usize, usize)) -> Cluster {
    let mut cluster = Cluster::new(&Setup::new(name, operators, threshold, 0));
    cluster.clients_ask = false;
    cluster.weather = Weather::NONE;
    cluster
}

fn vote(cluster: &Cluster) -> Duty {
    attestation(COUNTED, 0, EPOCH.saturating_sub(2), cluster.network())
}

/// Some operators' clients ask at once; how many milliseconds each waits for its signature.
fn ask(
    cluster: &mut Cluster,
    who: impl Fn(OperatorIndex) -> bool,
    what: impl Fn(OperatorIndex) -> Duty,
) -> Vec<u64> {
    let start = cluster.now;
    let validator = KeyIndex::new(1);
    let up: Vec<_> = cluster.operators().filter(|o| cluster.is_up(*o) && who(*o)).collect();
    let ids: Vec<_> = up
        .into_iter()
        .map(|operator| cluster.ask(operator, validator, what(operator), 0).unwrap())
        .collect();
    cluster.run_for(50);
    ids.iter()
        .map(|id| {
            let asked = &cluster.asked[id];
            assert!(asked.is_signed(), "{:?}", asked.outcome);
            asked.outcome.as_ref().unwrap().0 - start
        })
        .collect()
}
