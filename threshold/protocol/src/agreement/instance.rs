//! The state of one instance, and the ways in and out of it.

use std::collections::{BTreeMap, BTreeSet};

use eth_types::{Epoch, Root};

use super::message::{AgreementMessage, Body, Lie};
use super::vote::{
    Certificate, Prepared, Statement, UncheckedCertificate, UncheckedVote, Vote, VoteKind,
};
use super::{InstanceKey, Value};
use crate::cluster::{OperatorIndex, OperatorSet, PerOperator, Quorum};
use crate::identity::Authenticator;
use crate::timing::{Schedule, UnixMillis};

/// Rounds for which one operator's COMMITs are kept. An honest operator commits in few rounds, and a
/// quorum's commits of one round arrive close together.
const COMMIT_ROUNDS_KEPT: usize = 4;

/// Values that one operator may bring in with votes of its own: its candidate, its endorsement, and
/// what it proposes or prepares that others have not named before.
const VALUES_PER_OPERATOR: u8 = 4;

/// DECIDED answers to one operator: it needs one, and a lost one is asked for again.
const DECIDED_ANSWERS: u8 = 8;

/// What an instance is told besides the message: who and when it is, and what its node knows.
pub struct Context<'a> {
    /// The node's clock.
    pub now: UnixMillis,
    /// This operator.
    pub me: OperatorIndex,
    /// The cluster's numbers.
    pub quorum: Quorum,
    /// The cluster's lock hash: signed with every statement, so that none is replayed elsewhere.
    pub lock_hash: Root,
    /// Signs and verifies statements.
    pub auth: &'a dyn Authenticator,
    /// What the node knows of its validator client and its peers.
    pub view: View,
}

/// What a node knows that bears on what it vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The node's own validator client asked for nothing in the last two epochs.
    pub silent: bool,
    /// *w*: see [`Quorum::witnesses`].
    pub witnesses: usize,
    /// The highest source epoch that the own client, or w operators' own endorsements, have named.
    pub source_limit: Option<Epoch>,
    /// The own client asked for this validator's block, or for its RANDAO of the epoch.
    pub duty_evidence: bool,
}

/// What an instance wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tell every peer.
    Broadcast(AgreementMessage),
    /// Tell one peer.
    Send(OperatorIndex, AgreementMessage),
    /// The duty is settled on this value: record it, then sign it. Comes once.
    Settle(Root),
    /// A lie was proven.
    Lie(Lie),
}

/// A proposal whose justification holds.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) root: Root,
    /// Whether a certificate binds the value.
    pub(super) certified: bool,
    /// How many endorsements of the value it shows.
    pub(super) shown: usize,
}

/// A ROUND-CHANGE whose certificate, if it names one, was checked.
#[derive(Debug, Clone)]
pub(super) struct HeldRoundChange {
    pub(super) vote: Vote,
    pub(super) certificate: Option<Certificate>,
}

/// A decision: a quorum's COMMITs of one round.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    pub(super) root: Root,
    pub(super) commits: Vec<Vote>,
}

/// One instance of agreement. Methods are of three kinds: `on_*` take what came from outside and give
/// the effects in order; [`Self::next_timeout`] says when to call [`Self::on_time`] at the latest; the
/// rest only read. Time must not go backwards.
#[derive(Debug)]
pub struct Instance {
    pub(super) key: InstanceKey,
    pub(super) schedule: Schedule,
    /// Whether this node takes part, or only listens for a decision because it started too late to
    /// know what it said before.
    pub(super) participates: bool,
    /// Operators that lied earlier: their endorsements are not counted.
    pub(super) ignored: OperatorSet,
    pub(super) values: BTreeMap<Root, Value>,
    /// How many values each operator has brought in.
    brought: PerOperator<u8>,

    // Round 0.
    pub(super) own_value: Option<Root>,
    pub(super) candidates: Vec<(OperatorIndex, Root)>,
    pub(super) candidates_since: Option<UnixMillis>,
    pub(super) endorsements: PerOperator<Vote>,
    pub(super) adoptable_since: Option<UnixMillis>,
    pub(super) endorsed: Option<Root>,
    pub(super) committed0: bool,
    pub(super) split_since: Option<UnixMillis>,

    // Rounds 1.. ; `round` is 0 until this node has sent a ROUND-CHANGE.
    pub(super) round: u32,
    pub(super) highest: Option<Certificate>,
    pub(super) round_changes: PerOperator<HeldRoundChange>,
    pub(super) led_round: u32,
    pub(super) proposals: BTreeMap<u32, Proposal>,
    pub(super) prepared_round: u32,
    pub(super) committed_round: u32,
    pub(super) prepares: PerOperator<Vote>,
    pub(super) commits: BTreeMap<u32, PerOperator<Vote>>,

    // Outcome.
    settled: Option<Root>,
    decision: Option<Decision>,
    decided_answers: PerOperator<u8>,
    liars: OperatorSet,
    /// Operators that said anything valid here.
    heard: OperatorSet,
    /// The last message of each kind that this node sent, for peers that (re)connect.
    sent: BTreeMap<&'static str, AgreementMessage>,
}

impl Instance {
    /// Opens an instance. `participates` is whether its slot begins long enough after the node's
    /// start; `ignored` are operators that were caught lying before.
    #[must_use]
    pub fn new(
        key: InstanceKey,
        schedule: Schedule,
        participates: bool,
        ignored: OperatorSet,
    ) -> Self {
        Self {
            key,
            schedule,
            participates,
            ignored,
            values: BTreeMap::new(),
            brought: PerOperator::new(),
            own_value: None,
            candidates: Vec::new(),
            candidates_since: None,
            endorsements: PerOperator::new(),
            adoptable_since: None,
            endorsed: None,
            committed0: false,
            split_since: None,
            round: 0,
            highest: None,
            round_changes: PerOperator::new(),
            led_round: 0,
            proposals: BTreeMap::new(),
            prepared_round: 0,
            committed_round: 0,
            prepares: PerOperator::new(),
            commits: BTreeMap::new(),
            settled: None,
            decision: None,
            decided_answers: PerOperator::new(),
            liars: OperatorSet::EMPTY,
            heard: OperatorSet::EMPTY,
            sent: BTreeMap::new(),
        }
    }

    /// The own validator client asks for this value. The first one asked for is the one this node
    /// stands for.
    pub fn on_own_request(&mut self, value: Value, ctx: &Context<'_>) -> Vec<Effect> {
        let root = value.root();
        self.values.entry(root).or_insert(value);
        if self.own_value.is_none() {
            self.own_value = Some(root);
        }
        let mut effects = Vec::new();
        self.progress(ctx, &mut effects);
        effects
    }

    /// A peer's message. `from` is the peer that the channel authenticated.
    pub fn on_message(
        &mut self,
        from: OperatorIndex,
        message: AgreementMessage,
        ctx: &Context<'_>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let foreign = message.key != self.key;
        if foreign || message.body.author().is_some_and(|author| author != from) {
            return effects;
        }
        if self.decision.is_some() {
            self.answer_laggard(from, &message.body, &mut effects);
            return effects;
        }
        let AgreementMessage { body, values, .. } = message;
        let accepted = match body {
            Body::Candidate(vote) => self.on_candidate(vote, values, ctx),
            Body::Endorse(vote) => self.on_endorse(vote, values, ctx, &mut effects),
            Body::Split(votes) => self.on_split(votes, values, ctx, &mut effects),
            Body::Commit(vote, certificate) => {
                self.on_commit(vote, certificate, values, ctx, &mut effects)
            }
            Body::RoundChange(change) => self.on_round_change(change, values, ctx, &mut effects),
            Body::Propose(propose) => self.on_propose(propose, values, ctx, &mut effects),
            Body::Prepare(vote) => self.on_prepare(vote, values, ctx),
            Body::Decided(votes) => self.on_decided(votes, values, ctx),
        };
        if accepted.is_some() {
            self.heard.insert(from);
            self.progress(ctx, &mut effects);
        }
        effects
    }

    /// Time has passed, or what the node knows ([`View`]) has changed.
    pub fn on_time(&mut self, ctx: &Context<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.progress(ctx, &mut effects);
        effects
    }

    /// When [`Self::on_time`] is to be called at the latest; always after `now`.
    #[must_use]
    pub fn next_timeout(&self, now: UnixMillis) -> Option<UnixMillis> {
        if self.is_over(now) || self.decision.is_some() {
            return None;
        }
        let mut times = vec![self.schedule.start, self.schedule.deadline];
        if self.participates {
            if self.endorsed.is_none() {
                let graces = [
                    self.candidates_since.map(|since| since + self.schedule.candidate_wait),
                    self.adoptable_since.map(|since| since + self.schedule.adopt_grace),
                ];
                times.extend(graces.into_iter().flatten());
            }
            times.push(self.round_ends());
        }
        times.into_iter().filter(|time| *time > now).min()
    }

    /// What a peer that (re)connects needs to hear from this node.
    pub fn messages_for_newcomer(&self) -> impl Iterator<Item = AgreementMessage> {
        let decided = self.decision.as_ref().map(|decision| self.decided_message(decision));
        let undecided = decided.is_none();
        decided.into_iter().chain(self.sent.values().filter(move |_| undecided).cloned())
    }

    /// The value that this node has signed, or is to sign.
    #[must_use]
    pub fn settled(&self) -> Option<&Value> {
        self.settled.and_then(|root| self.values.get(&root))
    }

    /// Whether a quorum's COMMITs are known.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        self.decision.is_some()
    }

    /// Whether the duty's deadline has passed.
    #[must_use]
    pub fn is_over(&self, now: UnixMillis) -> bool {
        now >= self.schedule.deadline
    }

    /// Whether this node takes part.
    #[must_use]
    pub const fn participates(&self) -> bool {
        self.participates
    }

    /// The round this node is in.
    #[must_use]
    pub const fn round(&self) -> u32 {
        self.round
    }

    /// How many values and rounds are held.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.values.len(), self.commits.len() + self.proposals.len())
    }

    /// Sources named by operators' *own* endorsements here.
    pub fn own_endorsed_sources(&self) -> impl Iterator<Item = (OperatorIndex, Epoch)> {
        self.endorsements
            .values()
            .filter(|vote| vote.statement().own)
            .filter_map(|vote| Some((vote.from(), self.values.get(&vote.root())?.source()?)))
    }

    /// Where agreement stands, in words for an operator.
    #[must_use]
    pub fn describe(&self, quorum: Quorum) -> String {
        let needed = quorum.threshold();
        if self.settled.is_some() {
            return "settled".into();
        }
        if !self.participates {
            return "this node started during the slot and waits for the others' decision".into();
        }
        if self.round == 0 {
            let most = self.tallies().values().copied().max().unwrap_or(0);
            return format!("{most} of {needed} equal endorsements");
        }
        let round = self.round;
        format!("round {round}, {} operators heard of {needed} needed", self.heard.len() + 1)
    }

    /// Applies the rules until nothing more follows. What arrived goes before what timed out.
    fn progress(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        if ctx.now < self.schedule.start || self.is_over(ctx.now) {
            return;
        }
        self.apply_rules(ctx, out);
        if self.participates && self.decision.is_none() && self.expire_round(ctx, out) {
            self.apply_rules(ctx, out);
        }
    }

    fn apply_rules(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        // Each rule that fires says something, so silence is the fixed point.
        let mut before = usize::MAX;
        while before != out.len() {
            before = out.len();
            self.decide(ctx, out);
            if !self.participates || self.decision.is_some() {
                return;
            }
            self.apply_round0(ctx, out);
            self.apply_rounds(ctx, out);
        }
    }

    /// Whether there is reason to spend rounds on this instance: a single liar must not make the
    /// others run rounds for duties that nobody has.
    pub(super) fn engaged(&self, ctx: &Context<'_>) -> bool {
        let told = !self.heard.is_empty();
        self.own_value.is_some()
            || self.endorsed.is_some()
            || self.heard.len() >= ctx.view.witnesses
            || (told && ctx.view.duty_evidence)
    }

    /// The settlement: this node is to sign `root`, once.
    pub(super) fn settle(&mut self, root: Root, out: &mut Vec<Effect>) {
        if self.settled.is_none() {
            self.settled = Some(root);
            out.push(Effect::Settle(root));
        }
    }

    /// QBFT's decision: a quorum of COMMITs of one round and value (Algorithm 2, line 8).
    fn decide(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        if self.decision.is_some() {
            return;
        }
        let decided = self.commits.values().find_map(|votes| {
            let root = majority_root(votes, ctx.quorum)?;
            let commits = votes.values().filter(|vote| vote.root() == root).copied().collect();
            self.values.contains_key(&root).then_some(Decision { root, commits })
        });
        if let Some(decision) = decided {
            let root = decision.root;
            self.decision = Some(decision);
            self.settle(root, out);
        }
    }

    /// A node that asks for a round of what is decided is told the decision (Algorithm 3, line 17).
    fn answer_laggard(&mut self, from: OperatorIndex, body: &Body, out: &mut Vec<Effect>) {
        let Some(decision) = &self.decision else { return };
        if !matches!(body, Body::RoundChange(_)) {
            return;
        }
        let answers = self.decided_answers.entry(from).or_default();
        if *answers < DECIDED_ANSWERS {
            *answers += 1;
            let message = self.decided_message(decision);
            out.push(Effect::Send(from, message));
        }
    }

    fn decided_message(&self, decision: &Decision) -> AgreementMessage {
        let votes = decision.commits.iter().map(Vote::unchecked).collect();
        self.message(Body::Decided(votes), [decision.root])
    }

    // What the rules in `round0` and `rounds` share.

    /// Signs a statement, remembers its message for newcomers, and broadcasts it.
    pub(super) fn say(&mut self, body: Body, roots: Vec<Root>, out: &mut Vec<Effect>) {
        let message = self.message(body, roots);
        self.sent.insert(message.body.name(), message.clone());
        out.push(Effect::Broadcast(message));
    }

    fn message(&self, body: Body, roots: impl IntoIterator<Item = Root>) -> AgreementMessage {
        let roots: BTreeSet<Root> = roots.into_iter().collect();
        let values = roots.iter().filter_map(|root| self.values.get(root)).cloned().collect();
        AgreementMessage { key: self.key, body, values }
    }

    pub(super) fn vote(&self, ctx: &Context<'_>, kind: VoteKind, round: u32, root: Root) -> Vote {
        self.sign(ctx, Statement::about(self.key, kind, round, root))
    }

    pub(super) fn sign(&self, ctx: &Context<'_>, statement: Statement) -> Vote {
        Vote::sign(statement, ctx.me, &ctx.lock_hash, ctx.auth)
    }

    /// Checks a vote's kind and signature. An endorsement that is already held is not checked again.
    pub(super) fn check(
        &self,
        vote: UncheckedVote,
        kind: VoteKind,
        ctx: &Context<'_>,
    ) -> Option<Vote> {
        if vote.statement.key != self.key || vote.statement.kind != kind {
            return None;
        }
        let held = (kind == VoteKind::Endorse).then(|| self.endorsements.get(&vote.from)).flatten();
        match held {
            Some(held) if held.unchecked() == vote => Some(*held),
            _ => vote.verify(ctx.quorum, &ctx.lock_hash, ctx.auth),
        }
    }

    pub(super) fn check_certificate(
        &mut self,
        certificate: UncheckedCertificate,
        ctx: &Context<'_>,
        out: &mut Vec<Effect>,
    ) -> Option<Certificate> {
        let UncheckedCertificate { prepared, votes } = certificate;
        let kind = if prepared.round == 0 { VoteKind::Endorse } else { VoteKind::Prepare };
        let votes: Vec<Vote> =
            votes.into_iter().map(|vote| self.check(vote, kind, ctx)).collect::<Option<_>>()?;
        let certificate = Certificate::new(&self.key, prepared, votes, ctx.quorum)?;
        if kind == VoteKind::Endorse {
            for vote in certificate.votes() {
                self.hold_endorsement(*vote, out);
            }
        }
        Some(certificate)
    }

    /// Keeps the value that a checked vote names. False if it is not known then. What an operator may
    /// bring in is counted operator by operator, so that a liar's values do not keep out the others'.
    pub(super) fn learn(&mut self, vote: &Vote, values: &[Value]) -> bool {
        if self.values.contains_key(&vote.root()) {
            return true;
        }
        let brought = self.brought.get(&vote.from()).copied().unwrap_or_default();
        let learnt = brought < VALUES_PER_OPERATOR && self.learn_certified(vote.root(), values);
        if learnt {
            self.brought.insert(vote.from(), brought + 1);
        }
        learnt
    }

    /// Keeps a value that a quorum's votes name: there is one a round. False if it is not known then.
    pub(super) fn learn_certified(&mut self, root: Root, values: &[Value]) -> bool {
        if !self.values.contains_key(&root)
            && let Some(value) = values.iter().find(|value| value.root() == root)
        {
            self.values.insert(root, value.clone());
        }
        self.values.contains_key(&root)
    }

    /// Keeps an endorsement; a second one on another value is a proven lie.
    pub(super) fn hold_endorsement(&mut self, vote: Vote, out: &mut Vec<Effect>) {
        let operator = vote.from();
        let Some(first) = self.endorsements.get(&operator) else {
            self.endorsements.insert(operator, vote);
            return;
        };
        let (first, second) = (first.root(), vote.root());
        if first != second && self.liars.insert(operator) {
            out.push(Effect::Lie(Lie { operator, key: self.key, first, second }));
        }
    }

    pub(super) fn hold_commit(&mut self, vote: Vote) {
        let operator = vote.from();
        self.commits.entry(vote.round()).or_default().entry(operator).or_insert(vote);
        let rounds: Vec<u32> = self
            .commits
            .iter()
            .filter_map(|(round, votes)| votes.contains_key(&operator).then_some(*round))
            .collect();
        if rounds.len() > COMMIT_ROUNDS_KEPT {
            // Round 0 stays: it is what fast signers rest on.
            let oldest = rounds.into_iter().find(|round| *round != 0);
            if let Some(votes) = oldest.and_then(|round| self.commits.get_mut(&round)) {
                votes.remove(&operator);
            }
            self.commits.retain(|_, votes| !votes.is_empty());
        }
    }

    /// Takes over a certificate that is higher than the one held.
    pub(super) fn raise_highest(&mut self, certificate: &Certificate) {
        let round = certificate.prepared().round;
        if self.highest.as_ref().is_none_or(|highest| highest.prepared().round < round) {
            self.highest = Some(certificate.clone());
        }
    }

    /// Endorsements by value, without those of operators caught lying in earlier instances.
    pub(super) fn tallies(&self) -> BTreeMap<Root, usize> {
        let mut tallies = BTreeMap::new();
        for vote in self.counted_endorsements() {
            *tallies.entry(vote.root()).or_default() += 1;
        }
        tallies
    }

    pub(super) fn counted_endorsements(&self) -> impl Iterator<Item = &Vote> {
        self.endorsements.values().filter(|vote| !self.ignored.contains(vote.from()))
    }

    pub(super) fn prepared(&self) -> Option<Prepared> {
        self.highest.as_ref().map(Certificate::prepared)
    }
}

/// The value on which a quorum of these votes agrees.
pub(super) fn majority_root(votes: &PerOperator<Vote>, quorum: Quorum) -> Option<Root> {
    let mut tallies = BTreeMap::<Root, usize>::new();
    for vote in votes.values() {
        *tallies.entry(vote.root()).or_default() += 1;
    }
    tallies.into_iter().find_map(|(root, count)| (count >= quorum.threshold()).then_some(root))
}
