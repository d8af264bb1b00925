//! An operator whose node lies: it holds operator 3's own key, is let in by the others, and sends them
//! whatever does harm. The others sign on, and say whose fault what is.

use std::time::Duration;

use bytes::Bytes;
use eth_types::duty::Duty;
use eth_types::network::Network;
use eth_types::{Root, Signature, Slot};
use tests::{Ask, Cluster};
use threshold::data_dir::{self, LoadOptions, NodeKeys};
use threshold::net::{self, FrameTag, NetConfig, NetEvent, NetHandle, PeerInfo};
use threshold_protocol::agreement::{AgreementMessage, Body, InstanceKey, Statement, Value};
use threshold_protocol::agreement::{Vote, VoteKind};
use threshold_protocol::bls::PartialSignature;
use threshold_protocol::identity::Identities;
use threshold_protocol::message::{CosignAnswer, Partials, PeerMessage, Status};
use threshold_protocol::{KeyIndex, OperatorIndex};

use crate::support::{ask_all, assert_one_signature, cluster};

const HONEST: [usize; 3] = [0, 1, 2];
const LIAR: usize = 3;

/// Slots of lies: whether a bad partial signature is looked at in one slot depends on which come first.
const MAX_SLOTS: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_lies_is_named_and_the_other_three_sign_on() {
    let mut cluster = cluster().start().await;
    let slot = cluster.chain().next_slot().await;
    let ask = Ask::block(cluster.chain(), slot, 1);
    let good = cluster.ask(0, 7, &ask).await.signature(&cluster.key(7), &ask.root());

    cluster.kill(LIAR);
    cluster.until_connected().await;
    let liar = Liar::start(&cluster).await;
    for node in HONEST {
        cluster.until_connected_to(node, 4).await;
    }

    let mut figures = String::new();
    for validator in (0..).take(usize::try_from(MAX_SLOTS).unwrap()) {
        let chain = cluster.chain();
        let slot = chain.next_slot().await;
        let (vote, block) = (Ask::attestation(chain, slot, 1), Ask::block(chain, slot, 1));
        let other = Ask::attestation(chain, slot, 9);
        let randao = Ask::randao(chain, chain.epoch_of(slot));
        liar.junk();
        liar.foreign_status(slot);
        liar.two_endorsements(&vote.duty, &other.duty);
        liar.bad_partials(&vote.duty, validator, &good);
        liar.bad_partials(&block.duty, validator, &good);
        liar.bad_answer(randao.root(), validator, &good);
        // The lies are there first.
        tokio::time::sleep(Duration::from_millis(100)).await;
        for ask in [&randao, &block, &vote] {
            let answers = ask_all(&cluster, &HONEST, validator, ask).await;
            assert_one_signature(&cluster.key(validator), &ask.root(), &answers);
        }
        figures.clear();
        for node in HONEST {
            figures.push_str(&cluster.metrics(node).await);
        }
        if named(&figures, "synod_bad_partials_total") {
            break;
        }
    }
    for figure in ["synod_proven_lies_total", "synod_bad_partials_total"] {
        assert!(named(&figures, figure), "{figure} names nobody:\n{figures}");
        let blamed = figures.lines().filter(|line| line.starts_with(figure));
        let honest = blamed.filter(|line| !line.contains("operator=\"3\"")).collect::<Vec<_>>();
        assert!(honest.is_empty(), "honest operators are blamed: {honest:?}");
    }
    let logs: String = HONEST.map(|node| cluster.log(node)).concat();
    for words in [
        "endorsed two messages for one duty",
        "bad partial signature",
        "unusable message from peer",
    ] {
        let lines = || logs.lines().filter(|line| line.contains(words));
        assert!(lines().count() > 0, "nobody logs {words:?}");
        assert!(lines().all(|line| line.contains("\"operator\":\"3\"")), "{words:?} of whom?");
    }
    liar.net.shutdown().await;
}

fn named(figures: &str, figure: &str) -> bool {
    figures.lines().any(|line| line.starts_with(figure) && line.contains("operator=\"3\""))
}

/// Operator 3's links, key and place in the cluster.
struct Liar {
    net: NetHandle,
    identities: Identities,
    me: OperatorIndex,
    lock_hash: Root,
    network: Network,
}

impl Liar {
    async fn start(cluster: &Cluster) -> Self {
        let dir = cluster.data_dir(LIAR);
        let NodeKeys { identity, lock, operator, .. } =
            data_dir::load(&dir, &LoadOptions::default()).unwrap();
        let keys: Vec<[u8; 33]> =
            lock.operators().iter().map(|operator| operator.public_key_bytes()).collect();
        let port = |node: u16| cluster.files().p2p_port + node;
        let address = |(node, key): (u16, &[u8; 33])| {
            let peer = net::peer_id(key).unwrap();
            format!("/ip4/127.0.0.1/tcp/{}/p2p/{peer}", port(node)).parse().unwrap()
        };
        let config = NetConfig {
            identity: identity.to_bytes(),
            me: operator,
            peers: (0..)
                .zip(&keys)
                .map(|(index, key)| PeerInfo { index: OperatorIndex::new(index), public_key: *key })
                .collect(),
            lock_hash: lock.lock_hash().into_bytes(),
            listen: vec![([127, 0, 0, 1], port(3)).into()],
            external_ip: None,
            external_hostname: None,
            relays: Vec::new(),
            static_peers: (0..).zip(&keys).map(address).collect(),
        };
        let (net, mut events) = net::start(config).await.unwrap();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let NetEvent::Disconnected { peer, reason } = event {
                    println!("operator {peer} cut the liar off: {reason}");
                }
            }
        });
        let identities = Identities::new(&identity.to_bytes(), operator, &keys).unwrap();
        let (lock_hash, network) = (lock.lock_hash(), cluster.chain().network().clone());
        Self { net, identities, me: operator, lock_hash, network }
    }

    fn send(&self, bytes: impl Into<Bytes>) {
        self.net.broadcast(FrameTag { slot: u64::MAX, urgent: true }, &bytes.into());
    }

    /// Frames that are no messages.
    fn junk(&self) {
        for junk in [vec![0], vec![0xff; 64], vec![0x0a; 5000], b"GET / HTTP/1.1\r\n\r\n".to_vec()]
        {
            self.send(junk);
        }
    }

    /// An announcement in another operator's name.
    fn foreign_status(&self, slot: Slot) {
        let other = OperatorIndex::new(1);
        let status = Status::sign(other, true, slot, &self.lock_hash, &self.identities);
        self.send(PeerMessage::Status(status).encode());
    }

    /// ENDORSE of two values in one instance.
    fn two_endorsements(&self, first: &Duty, second: &Duty) {
        for duty in [first, second] {
            let key = InstanceKey::for_duty(duty, KeyIndex::new(0), &self.network).unwrap();
            let value = Value::new(&key, duty.clone(), &self.network).unwrap();
            let about = Statement::about(key, VoteKind::Endorse, 0, value.root());
            let statement = Statement { own: true, ..about };
            let vote = Vote::sign(statement, self.me, &self.lock_hash, &self.identities);
            let body = Body::Endorse(vote.unchecked());
            let message = AgreementMessage { key, body, values: vec![value] };
            self.send(PeerMessage::Agreement(message).encode());
        }
    }

    /// A partial signature that is a point, and one over something else.
    fn bad_partials(&self, duty: &Duty, validator: usize, not_a_part: &Signature) {
        let validator = KeyIndex::new(u32::try_from(validator).unwrap());
        let key = InstanceKey::for_duty(duty, validator, &self.network).unwrap();
        let partials = vec![(validator, PartialSignature::new(*not_a_part.as_bytes()))];
        let partials = Partials { key, root: duty.signing_root(), partials };
        self.send(PeerMessage::Partials(partials).encode());
    }

    /// The same, for a co-signed duty.
    fn bad_answer(&self, root: Root, validator: usize, not_a_part: &Signature) {
        let validator = KeyIndex::new(u32::try_from(validator).unwrap());
        let outcome = Ok(PartialSignature::new(*not_a_part.as_bytes()));
        let answer = CosignAnswer { validator, root, outcome };
        self.send(PeerMessage::CosignAnswer(answer).encode());
    }
}
