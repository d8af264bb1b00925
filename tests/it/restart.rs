//! Nodes killed at random moments under load, and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eth_types::{PublicKey, Root, Slot};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tests::records::{self, contradictions};
use tests::{Answer, Ask, Cluster, Record, RecordedDuty, http};

use crate::support::{ALL, ask_all, assert_one_signature, cluster, variant};

/// Where the rounds' victims and moments come from. Another seed makes other rounds.
const SEED: u64 = 0x5e_ed;

/// Rounds of load, kill and restart.
const ROUNDS: usize = 5;

/// A node is killed within this time from the first request on. On an idle machine all is signed by the
/// middle of it.
const KILL_WITHIN: Duration = Duration::from_millis(400);

/// Validators that propose in every round.
const PROPOSERS: [usize; 3] = [0, 1, 2];

/// A message that no round asks for.
const CONFLICTING: u8 = 0xcc;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_killed_at_any_moment_never_record_or_sign_a_second_message() {
    let mut cluster = cluster().start().await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut signed = BTreeMap::new();
    for round in 0..ROUNDS {
        let slot = cluster.chain().next_slot().await;
        let asks = load(&cluster, slot, round);
        let mut victims = ALL;
        victims.shuffle(&mut random);
        let victims = &victims[..random.random_range(1..=2)];
        let delay = KILL_WITHIN.mul_f64(random.random());
        println!("round {round}: nodes {victims:?} are killed after {delay:?}");

        let answers = tokio::spawn(join_all(asks.iter().cloned().map(Asked::send)));
        tokio::time::sleep(delay).await;
        for victim in victims {
            cluster.kill(*victim);
        }
        for (asked, answer) in asks.iter().zip(answers.await.unwrap()) {
            note_signature(&mut signed, asked, &answer);
        }
        for victim in victims {
            let recorded = records::read(&cluster.data_dir(*victim));
            assert_eq!(contradictions(&recorded), [], "node {victim}");
            cluster.launch(*victim);
            cluster.until_serving(*victim).await;
            keeps_to_its_records(&cluster, *victim, slot, &asks, &recorded, &mut signed).await;
        }
        cluster.until_connected().await;
    }

    // Nothing is left behind: the next duty is signed, for all.
    let slot = cluster.chain().next_slot().await;
    let ask = Ask::block(cluster.chain(), slot, 1);
    let answers = ask_all(&cluster, &ALL, 7, &ask).await;
    assert_one_signature(&cluster.key(7), &ask.root(), &answers);

    cluster.stop();
    let mut together = BTreeSet::new();
    let mut holders: BTreeMap<(PublicKey, Root), usize> = BTreeMap::new();
    for node in ALL {
        let recorded = records::read(&cluster.data_dir(node));
        assert_eq!(contradictions(&recorded), [], "node {node}");
        for record in &recorded {
            *holders.entry((record.validator, record.root)).or_default() += 1;
        }
        together.extend(recorded);
    }
    // Nobody lies here, so that not even two nodes signed two messages of a duty.
    assert_eq!(contradictions(&together), []);
    assert!(!signed.is_empty(), "no round signed anything");
    for ((key, duty), (root, _)) in &signed {
        let holders = holders.get(&(*key, *root)).copied().unwrap_or_default();
        assert!(holders >= 3, "{duty:?} of {key} is signed and on record at {holders} nodes");
    }
}

/// A request on its way to a node.
#[derive(Debug, Clone)]
struct Asked {
    node: usize,
    to: std::net::SocketAddr,
    validator: usize,
    key: PublicKey,
    duty: RecordedDuty,
    ask: Ask,
}

impl Asked {
    /// A node that is killed gives no answer.
    async fn send(self) -> Option<Answer> {
        http::sign(self.to, &self.key, self.ask.text()).await.ok()
    }
}

/// The signatures that came out: one for each validator's duty.
type Signed = BTreeMap<(PublicKey, RecordedDuty), (Root, eth_types::Signature)>;

/// Different blocks for every node, and two views of the head: much to be settled at once.
fn load(cluster: &Cluster, slot: Slot, round: usize) -> Vec<Asked> {
    let chain = cluster.chain();
    let mut asks = Vec::new();
    for node in ALL {
        let mut asked = |validator, duty, ask| {
            let (to, key) = (cluster.http(node), cluster.key(validator));
            asks.push(Asked { node, to, validator, key, duty, ask });
        };
        for validator in PROPOSERS {
            let block = Ask::block(chain, slot, variant(node));
            asked(validator, RecordedDuty::Block(slot), block);
        }
        let vote = Ask::attestation(chain, slot, variant(node) / 3);
        asked(round, RecordedDuty::Attestation(chain.epoch_of(slot)), vote);
    }
    asks
}

/// A signature is the one that came out before, if one did. Whoever has none has a reason.
#[track_caller]
fn note_signature(signed: &mut Signed, asked: &Asked, answer: &Option<Answer>) {
    let Some(answer) = answer else { return };
    if !answer.is_signed() {
        let _ = answer.refusal(answer.status.as_u16());
        return;
    }
    let root = asked.ask.root();
    let signature = answer.signature(&asked.key, &root);
    let first = signed.entry((asked.key, asked.duty)).or_insert((root, signature));
    assert_eq!(*first, (root, signature), "two messages are signed for {:?}", asked.duty);
}

/// For what was on record when the node was killed: another message is refused, and the same one signed
/// with the same signature, as long as that can be.
async fn keeps_to_its_records(
    cluster: &Cluster,
    node: usize,
    slot: Slot,
    asks: &[Asked],
    recorded: &BTreeSet<Record>,
    signed: &mut Signed,
) {
    for asked in asks.iter().filter(|asked| asked.node == node) {
        let on_record = recorded
            .iter()
            .find(|record| record.validator == asked.key && record.duty == asked.duty);
        let Some(record) = on_record else { continue };
        let other = match asked.duty {
            RecordedDuty::Block(_) => Ask::block(cluster.chain(), slot, CONFLICTING),
            RecordedDuty::Attestation(_) => Ask::attestation(cluster.chain(), slot, CONFLICTING),
        };
        let reason = cluster.ask(node, asked.validator, &other).await.refusal(412);
        let names_both =
            reason.contains(&record.root.to_string()) && reason.contains(&other.root().to_string());
        assert!(names_both, "{reason}");

        let same = asks.iter().find(|same| same.ask.root() == record.root).unwrap();
        let same = Asked { to: cluster.http(node), ..same.clone() };
        let same = Asked { key: asked.key, duty: asked.duty, ..same };
        let answer = same.clone().send().await;
        assert!(answer.is_some(), "node {node} gives no answer");
        note_signature(signed, &same, &answer);
    }
}
