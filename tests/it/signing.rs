//! What a whole cluster signs, and what it does not.

use tests::Ask;

use crate::support::{
    ALL, ask_all, ask_each, assert_one_signature, assert_one_wins, cluster, variant,
};

#[tokio::test(flavor = "multi_thread")]
async fn four_clients_that_ask_for_the_same_get_one_signature_of_every_duty() {
    let cluster = cluster().start().await;
    let chain = cluster.chain();
    let slot = chain.next_slot().await;
    let epoch = chain.epoch_of(slot);
    let key = cluster.key(0);
    for ask in [
        Ask::attestation(chain, slot, 1),
        Ask::block(chain, slot, 1),
        Ask::randao(chain, epoch),
        Ask::randao(chain, epoch.saturating_add(1)),
        Ask::aggregation_slot(chain, slot),
        Ask::aggregate(chain, slot, 1),
        Ask::sync_message(chain, slot, 1),
        Ask::sync_selection(chain, slot),
        Ask::contribution(chain, slot, 1),
        Ask::registration(chain, &key, 60_000_000),
        Ask::exit(chain, epoch),
    ] {
        let answers = ask_all(&cluster, &ALL, 0, &ask).await;
        assert_one_signature(&key, &ask.root(), &answers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_ask_for_different_messages_of_a_slashable_duty_get_one_signature() {
    let mut cluster = cluster().start().await;
    let chain = cluster.chain();
    let slot = chain.next_slot().await;

    // Four blocks for each of three validators: the leader's is signed, or an earlier one.
    for validator in [0, 1, 2] {
        let blocks = ALL.map(|node| (node, Ask::block(chain, slot, variant(node))));
        let answers = ask_each(&cluster, validator, &blocks).await;
        let signed = assert_one_wins(&cluster.key(validator), &blocks, &answers);
        // It stays so: whoever asks again, for whichever block, is told the same.
        let again = ask_each(&cluster, validator, &blocks).await;
        assert_eq!(assert_one_wins(&cluster.key(validator), &blocks, &again), signed);
    }

    // Two views of the head, two nodes each: no quorum endorses one of them, and round 1 settles it.
    let slot = chain.next_slot().await;
    let votes = ALL.map(|node| (node, Ask::attestation(chain, slot, if node < 2 { 1 } else { 2 })));
    let answers = ask_each(&cluster, 3, &votes).await;
    assert_one_wins(&cluster.key(3), &votes, &answers);

    // Three against one: the three are signed, in the leaderless round.
    let slot = chain.next_slot().await;
    let votes = ALL.map(|node| (node, Ask::attestation(chain, slot, if node < 3 { 1 } else { 2 })));
    let answers = ask_each(&cluster, 4, &votes).await;
    let signed = assert_one_wins(&cluster.key(4), &votes, &answers);
    assert_eq!(signed, votes[0].1.root());

    cluster.stop();
    for node in ALL {
        let records = tests::records::read(&cluster.data_dir(node));
        assert_eq!(tests::records::contradictions(&records), [], "node {node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_ask_for_different_messages_of_a_harmless_duty_all_get_theirs() {
    let cluster = cluster().start().await;
    let chain = cluster.chain();
    let slot = chain.next_slot().await;
    let key = cluster.key(0);
    for of_node in [
        ALL.map(|node| (node, Ask::aggregate(chain, slot, variant(node)))),
        ALL.map(|node| (node, Ask::sync_message(chain, slot, variant(node)))),
        ALL.map(|node| (node, Ask::contribution(chain, slot, variant(node)))),
        ALL.map(|node| {
            (node, Ask::registration(chain, &key, 60_000_000 + u64::from(variant(node))))
        }),
    ] {
        let answers = ask_each(&cluster, 0, &of_node).await;
        for ((_, ask), answer) in of_node.iter().zip(&answers) {
            let _ = answer.signature(&key, &ask.root());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_client_for_four_nodes_gets_everything_signed() {
    let cluster = cluster().start().await;
    let chain = cluster.chain();
    // Twice, because a node learns in the first slot that its peers have no client.
    for _ in 0..2 {
        let slot = chain.next_slot().await;
        let epoch = chain.epoch_of(slot);
        let validator = usize::try_from(slot.as_u64() % 8).unwrap();
        let key = cluster.key(validator);
        for ask in [
            Ask::randao(chain, epoch),
            Ask::block(chain, slot, 1),
            Ask::attestation(chain, slot, 1),
            Ask::aggregation_slot(chain, slot),
            Ask::aggregate(chain, slot, 1),
            Ask::sync_message(chain, slot, 1),
            Ask::sync_selection(chain, slot),
            Ask::contribution(chain, slot, 1),
            Ask::registration(chain, &key, 60_000_000),
        ] {
            let answer = cluster.ask(0, validator, &ask).await;
            let _ = answer.signature(&key, &ask.root());
        }
    }
}
