//! Nodes that are gone, while the others run on.

use tests::{Answer, Ask, Cluster};

use crate::support::{ask_all, assert_one_signature, cluster};

#[tokio::test(flavor = "multi_thread")]
async fn with_one_node_killed_the_other_three_sign_and_with_two_killed_requests_fail_with_a_reason()
{
    let mut cluster = cluster().start().await;

    cluster.kill(3);
    cluster.until_connected().await;
    signs_everything(&cluster, &[0, 1, 2], 0).await;

    cluster.kill(2);
    cluster.until_connected().await;
    let chain = cluster.chain();
    let slot = chain.next_slot().await;
    for ask in [
        Ask::attestation(chain, slot, 1),
        Ask::block(chain, slot, 1),
        Ask::randao(chain, chain.epoch_of(slot)),
    ] {
        let answers = ask_all(&cluster, &[0, 1], 1, &ask).await;
        for reason in answers.iter().map(|answer| answer.refusal(500)) {
            let clear = reason.contains("2 of 4 are connected") && reason.contains("3 are needed");
            assert!(clear, "{}: {reason}", ask.name);
        }
    }

    cluster.restart(2).await;
    signs_everything(&cluster, &[0, 1, 2], 2).await;
}

/// The cluster signs one duty of each class for all that ask.
async fn signs_everything(cluster: &Cluster, nodes: &[usize], validator: usize) -> Vec<Answer> {
    let chain = cluster.chain();
    let slot = chain.next_slot().await;
    let key = cluster.key(validator);
    let mut all = Vec::new();
    for ask in [
        Ask::attestation(chain, slot, 1),
        Ask::block(chain, slot, 1),
        Ask::randao(chain, chain.epoch_of(slot)),
        Ask::aggregate(chain, slot, 1),
        Ask::registration(chain, &key, 60_000_000),
    ] {
        let answers = ask_all(cluster, nodes, validator, &ask).await;
        assert_one_signature(&key, &ask.root(), &answers);
        all.extend(answers);
    }
    all
}
