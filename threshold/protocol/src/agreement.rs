//! Agreement on one message per slashable duty: *endorse, then sign* (protocol.md, section 2).
//!
//! [`Instance`] is a pure state machine. It is told messages and the time, and answers with
//! [`Effect`]s. Round 0 is leaderless: nodes endorse, and a quorum of equal endorsements (C0) settles
//! the duty in two hops. What round 0 leaves open, rounds 1.. settle with QBFT (H. Moniz, "The Istanbul
//! BFT Consensus Algorithm", arXiv 2002.03613; the algorithm's lines are cited in `rounds`), in
//! which C0 counts as a certificate prepared in round 0.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `key` | [`InstanceKey`], [`Value`]: what is agreed on |
//! | `vote` | signed statements and certificates |
//! | `message` | what nodes tell each other |
//! | `instance` | the state, what goes in and what comes out |
//! | `round0` | candidates, endorsements, C0, LOCK, SPLIT |
//! | `rounds` | ROUND-CHANGE, PROPOSE, PREPARE, COMMIT, DECIDED |
//!
//! Nothing here keeps a node from signing two messages: that is the slashing database's part, and no
//! fault of agreement can take it away. Agreement is what makes nodes sign the *same* message.

mod instance;
mod key;
mod message;
mod round0;
mod rounds;
mod vote;

pub use instance::{Context, Effect, Instance, View};
pub use key::{InstanceKey, InvalidValue, Value};
pub use message::{AgreementMessage, Body, Lie, Propose, RoundChange};
pub use vote::{
    Certificate, Prepared, Statement, UncheckedCertificate, UncheckedVote, Vote, VoteKind,
};
