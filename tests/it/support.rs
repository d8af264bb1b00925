//! What the scenarios share.

use eth_types::{PublicKey, Root, Signature};
use futures::future::join_all;
use tests::{Answer, Ask, Cluster, ClusterBuilder, Program};

/// The program, built by cargo for these tests.
pub(crate) fn program() -> Program {
    Program::at(env!("CARGO_BIN_EXE_synod-under-test"))
}

/// The nodes of a cluster.
pub(crate) const ALL: [usize; 4] = [0, 1, 2, 3];

/// Tells the messages of different nodes apart.
pub(crate) fn variant(node: usize) -> u8 {
    u8::try_from(node).unwrap() + 1
}

/// A cluster of four nodes, three of which sign.
pub(crate) fn cluster() -> ClusterBuilder {
    ClusterBuilder::new(&program())
}

/// Asks each of `nodes` for its own message, all at once.
pub(crate) async fn ask_each(
    cluster: &Cluster,
    validator: usize,
    asks: &[(usize, Ask)],
) -> Vec<Answer> {
    join_all(asks.iter().map(|(node, ask)| cluster.ask(*node, validator, ask))).await
}

/// Asks `nodes` for the same message, all at once.
pub(crate) async fn ask_all(
    cluster: &Cluster,
    nodes: &[usize],
    validator: usize,
    ask: &Ask,
) -> Vec<Answer> {
    let asks: Vec<_> = nodes.iter().map(|node| (*node, ask.clone())).collect();
    ask_each(cluster, validator, &asks).await
}

/// Every answer is the same good signature.
#[track_caller]
pub(crate) fn assert_one_signature(key: &PublicKey, root: &Root, answers: &[Answer]) -> Signature {
    let signatures: Vec<_> = answers.iter().map(|answer| answer.signature(key, root)).collect();
    let first = *signatures.first().unwrap();
    assert!(signatures.iter().all(|signature| *signature == first), "{signatures:?}");
    first
}

/// Exactly one of the messages that were asked for is signed: whoever asked for it has the signature, and
/// the others a refusal that names both messages. Returns what was signed.
#[track_caller]
pub(crate) fn assert_one_wins(key: &PublicKey, asks: &[(usize, Ask)], answers: &[Answer]) -> Root {
    let signed = asks.iter().zip(answers).find(|(_, answer)| answer.is_signed());
    let ((_, winner), _) = signed.unwrap_or_else(|| panic!("nobody has a signature: {answers:?}"));
    let winner = winner.root();
    for ((node, ask), answer) in asks.iter().zip(answers) {
        if ask.root() == winner {
            let _ = answer.signature(key, &winner);
        } else {
            let reason = answer.refusal(412);
            let names_both =
                reason.contains(&winner.to_string()) && reason.contains(&ask.root().to_string());
            assert!(names_both, "node {node} does not name {winner} and its own: {reason}");
        }
    }
    winner
}
