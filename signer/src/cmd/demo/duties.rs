//! The duties that the demo asks for, and what is expected of the answers.

use anyhow::Context;
use eth_types::containers::{AttestationData, BeaconBlockHeader, Checkpoint};
use eth_types::duty::{Duty, Message};
use eth_types::fork::{Fork, ForkInfo, ForkName};
use eth_types::network::Network;
use eth_types::{Epoch, ExecutionAddress, PublicKey, Root, Signature, Slot};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use threshold_protocol::bls;

use super::client::Answer;

/// A request for every node, and what has to come back.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) body: String,
    expect: Expect,
}

#[derive(Debug)]
enum Expect {
    /// A signature over this root.
    Signature(Root),
    /// A refusal, because another message was signed for the duty.
    Refusal,
}

#[derive(Deserialize)]
struct Signed {
    signature: Signature,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// The duties of a slot: RANDAO reveal, attestation, block, and another block that must be refused.
pub(super) fn cases(slot: Slot, network: &Network) -> anyhow::Result<Vec<Case>> {
    let epoch = slot.epoch(network.slots_per_epoch());
    let version = network.fork_version_at(epoch).context("the chain has no fork at this epoch")?;
    let fork_info = ForkInfo {
        fork: Fork { previous_version: version, current_version: version, epoch: Epoch::new(0) },
        genesis_validators_root: network.genesis_validators_root(),
    };
    let data = AttestationData {
        slot,
        index: 0,
        beacon_block_root: Root::new([1; 32]),
        source: Checkpoint { epoch: epoch.saturating_sub(1), root: Root::new([2; 32]) },
        target: Checkpoint { epoch, root: Root::new([3; 32]) },
    };
    let block = |proposal: u8| BeaconBlockHeader {
        slot,
        proposer_index: 0,
        parent_root: Root::new([4; 32]),
        state_root: Root::new([5; 32]),
        body_root: Root::new([proposal; 32]),
    };
    let block_body = |header: &BeaconBlockHeader| {
        let fork = ForkName::Fulu.to_string().to_uppercase();
        json!({ "type": "BLOCK_V2", "beacon_block": { "version": fork, "block_header": header } })
    };
    let case = |name, mut body: Value, message: Message, signs: bool| -> anyhow::Result<Case> {
        let duty = Duty::new(message, Some(&fork_info), network)?;
        let root = duty.signing_root();
        if let Value::Object(fields) = &mut body {
            fields.insert("fork_info".into(), serde_json::to_value(fork_info)?);
            fields.insert("signingRoot".into(), json!(root));
        }
        let expect = if signs { Expect::Signature(root) } else { Expect::Refusal };
        Ok(Case { name, body: body.to_string(), expect })
    };
    let (first, second) = (block(6), block(7));
    Ok(vec![
        case(
            "RANDAO reveal",
            json!({ "type": "RANDAO_REVEAL", "randao_reveal": { "epoch": epoch } }),
            Message::RandaoReveal(epoch),
            true,
        )?,
        case("block", block_body(&first), Message::Block(first), true)?,
        case("another block", block_body(&second), Message::Block(second), false)?,
        case(
            "attestation",
            json!({ "type": "ATTESTATION", "attestation": data }),
            Message::Attestation(data),
            true,
        )?,
    ])
}

/// A request that can be tried at any time.
pub(super) fn registration_body(key: PublicKey, fee_recipient: ExecutionAddress) -> String {
    json!({
        "type": "VALIDATOR_REGISTRATION",
        "validator_registration": {
            "fee_recipient": fee_recipient,
            "gas_limit": "60000000",
            "timestamp": "0",
            "pubkey": key,
        },
    })
    .to_string()
}

impl Case {
    /// Whether the answer is the right one, and what it is in words.
    pub(super) fn judge(&self, answer: &Answer, key: PublicKey) -> (bool, String) {
        let (status, body) = match &answer.outcome {
            Ok(answer) => answer,
            Err(error) => return (false, error.clone()),
        };
        match &self.expect {
            Expect::Signature(root) if *status == StatusCode::OK => {
                match serde_json::from_str::<Signed>(body) {
                    Ok(Signed { signature }) if bls::verify(&key, root, &signature) => {
                        let text = signature.to_string();
                        (true, format!("verified {}..", text.get(..14).unwrap_or(&text)))
                    }
                    Ok(_) => (false, "the signature does not verify".into()),
                    Err(error) => (false, format!("unreadable answer: {error}")),
                }
            }
            Expect::Refusal if *status == StatusCode::PRECONDITION_FAILED => {
                (true, "refused, as it must be (412)".into())
            }
            _ => {
                let reason = serde_json::from_str::<Refused>(body).map(|refused| refused.error);
                (false, format!("{status}: {}", reason.unwrap_or_else(|_| body.clone())))
            }
        }
    }
}
