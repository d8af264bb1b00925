//! Rounds 1.. : QBFT with C0 as a certificate prepared in round 0 (protocol.md, "Rounds 1.."). Lines of
//! the paper (arXiv 2002.03613) are cited where they are implemented.

use std::collections::BTreeMap;

use eth_types::{Epoch, Root};

use super::instance::{Context, Effect, HeldRoundChange, Instance, Proposal, majority_root};
use super::message::{Body, Propose, RoundChange};
use super::vote::{Certificate, Prepared, Statement, UncheckedVote, Vote, VoteKind};
use super::{InstanceKey, Value};
use crate::cluster::{OperatorSet, PerOperator};
use crate::timing::UnixMillis;

/// Rounds whose proposals are kept: the node's own and a few to come.
const PROPOSALS_KEPT: usize = 4;

impl Instance {
    pub(super) fn apply_rounds(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        self.follow_ahead(ctx, out);
        self.lead(ctx, out);
        self.prepare(ctx, out);
        self.commit(ctx, out);
    }

    /// The node's round is over: it asks for the next (Algorithm 3, line 1), or for the one that the
    /// clock is in. True if it did.
    pub(super) fn expire_round(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) -> bool {
        if ctx.now < self.round_ends() || !self.engaged(ctx) {
            return false;
        }
        let next = self.round.saturating_add(1).max(self.schedule.round_at(ctx.now));
        self.enter_round(next, ctx, out);
        true
    }

    /// When the node's round ends: for round 0 at T0, or 2D after a split was learnt.
    pub(super) fn round_ends(&self) -> UnixMillis {
        let end = self.schedule.round_end(self.round);
        match self.split_since {
            Some(since) if self.round == 0 => {
                end.min(since + self.schedule.margin.saturating_mul(2))
            }
            _ => end,
        }
    }

    pub(super) fn on_round_change(
        &mut self,
        change: RoundChange,
        values: Vec<Value>,
        ctx: &Context<'_>,
        out: &mut Vec<Effect>,
    ) -> Option<()> {
        // The same again says nothing new, and checking it again would cost as much.
        if self.round_changes.get(&change.vote.from).is_some_and(|held| {
            held.vote.unchecked() == change.vote
                && (held.certificate.is_some() || change.vote.statement.prepared.is_none())
        }) {
            return None;
        }
        let vote = self.check(change.vote, VoteKind::RoundChange, ctx)?;
        let certificate = match (vote.statement().prepared, change.certificate) {
            (None, _) => None,
            (Some(prepared), Some(certificate)) if prepared.round < vote.round() => {
                let certificate = self.check_certificate(certificate, ctx, out)?;
                (certificate.prepared() == prepared).then_some(())?;
                self.learn_certified(prepared.root, &values);
                self.raise_highest(&certificate);
                Some(certificate)
            }
            // It names a certificate that it does not show, or one of its own round.
            (Some(_), _) => return None,
        };
        for endorsement in change.endorsements.into_iter().take(ctx.quorum.operators()) {
            // Honest operators pass on only what they have checked.
            let endorsement = self.check(endorsement, VoteKind::Endorse, ctx)?;
            self.learn(&endorsement, &values);
            self.hold_endorsement(endorsement, out);
        }
        self.hold_round_change(HeldRoundChange { vote, certificate });
        Some(())
    }

    /// A PROPOSE counts only with the ROUND-CHANGEs of a quorum and the certificate that binds it
    /// (the paper's JustifyPrePrepare, Algorithm 4).
    pub(super) fn on_propose(
        &mut self,
        propose: Propose,
        values: Vec<Value>,
        ctx: &Context<'_>,
        out: &mut Vec<Effect>,
    ) -> Option<()> {
        let round = propose.vote.statement.round;
        let stale = round == 0 || round < self.round || self.proposals.contains_key(&round);
        if stale || propose.vote.from != self.key.leader(round, ctx.quorum) {
            return None;
        }
        let vote = self.check(propose.vote, VoteKind::Propose, ctx)?;
        let changes: Vec<Vote> = propose
            .round_changes
            .into_iter()
            .map(|change| self.check(change, VoteKind::RoundChange, ctx))
            .collect::<Option<_>>()?;
        let askers: OperatorSet = changes.iter().map(Vote::from).collect();
        let of_this_round = changes.iter().all(|change| change.round() == round);
        if !of_this_round || askers.len() < ctx.quorum.threshold() {
            return None;
        }
        let named = changes
            .iter()
            .filter_map(|change| change.statement().prepared)
            .max_by_key(|prepared| prepared.round);
        let mut shown = OperatorSet::EMPTY;
        match (named, propose.certificate) {
            (Some(named), Some(certificate)) => {
                let certificate = self.check_certificate(certificate, ctx, out)?;
                let binds = certificate.prepared() == named && named.root == vote.root();
                (binds && named.round < round).then_some(())?;
                self.learn_certified(vote.root(), &values);
                self.raise_highest(&certificate);
            }
            (Some(_), None) => return None,
            (None, _) => {
                for endorsement in propose.endorsements.into_iter().take(ctx.quorum.operators()) {
                    let endorsement = self.check(endorsement, VoteKind::Endorse, ctx)?;
                    if endorsement.root() == vote.root() {
                        shown.insert(endorsement.from());
                    }
                    self.learn(&endorsement, &values);
                    self.hold_endorsement(endorsement, out);
                }
            }
        }
        self.learn(&vote, &values).then_some(())?;
        for change in changes {
            // Who asks for this round is there; its certificate, if any, came with the proposal.
            self.hold_round_change(HeldRoundChange { vote: change, certificate: None });
        }
        let proposal =
            Proposal { root: vote.root(), certified: named.is_some(), shown: shown.len() };
        self.hold_proposal(round, proposal);
        Some(())
    }

    pub(super) fn on_prepare(
        &mut self,
        vote: UncheckedVote,
        values: Vec<Value>,
        ctx: &Context<'_>,
    ) -> Option<()> {
        let vote = self.check(vote, VoteKind::Prepare, ctx)?;
        self.learn(&vote, &values);
        self.hold_prepare(vote);
        Some(())
    }

    /// DECIDED: COMMITs of one round by a quorum. C0 alone never justifies it.
    pub(super) fn on_decided(
        &mut self,
        votes: Vec<UncheckedVote>,
        values: Vec<Value>,
        ctx: &Context<'_>,
    ) -> Option<()> {
        let votes: Vec<Vote> = votes
            .into_iter()
            .map(|vote| self.check(vote, VoteKind::Commit, ctx))
            .collect::<Option<_>>()?;
        let first = votes.first().copied()?;
        let alike =
            votes.iter().all(|vote| vote.round() == first.round() && vote.root() == first.root());
        let voters: OperatorSet = votes.iter().map(Vote::from).collect();
        let decided = alike && voters.len() >= ctx.quorum.threshold();
        (decided && self.learn_certified(first.root(), &values)).then_some(())?;
        let commits: PerOperator<Vote> =
            votes.into_iter().map(|vote| (vote.from(), vote)).collect();
        // A whole quorum replaces what single votes were held for this round.
        self.commits.insert(first.round(), commits);
        Some(())
    }

    /// f+1 ROUND-CHANGEs for later rounds pull a node forward (Algorithm 3, line 5): to the (f+1)-th
    /// highest round among its peers', so that liars alone cannot.
    fn follow_ahead(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        let mut rounds: Vec<u32> = self
            .round_changes
            .values()
            .filter(|change| change.vote.from() != ctx.me)
            .map(|change| change.vote.round())
            .collect();
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(round) = rounds.get(ctx.quorum.liars()).filter(|round| **round > self.round) {
            self.enter_round(*round, ctx, out);
        }
    }

    fn enter_round(&mut self, round: u32, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        self.round = round;
        self.proposals = self.proposals.split_off(&round);
        let prepared = self.prepared();
        let statement = Statement {
            prepared,
            ..Statement::about(self.key, VoteKind::RoundChange, round, Root::ZERO)
        };
        let vote = self.sign(ctx, statement);
        let certificate = self.highest.clone();
        let endorsements: Vec<Vote> = match prepared {
            Some(_) => Vec::new(),
            None => self.endorsements.values().copied().collect(),
        };
        let roots = endorsements.iter().map(Vote::root).chain(prepared.map(|p| p.root)).collect();
        self.hold_round_change(HeldRoundChange { vote, certificate: certificate.clone() });
        let change = RoundChange {
            vote: vote.unchecked(),
            certificate: certificate.as_ref().map(Certificate::unchecked),
            endorsements: endorsements.iter().map(Vote::unchecked).collect(),
        };
        self.say(Body::RoundChange(change), roots, out);
    }

    /// The leader, with ROUND-CHANGEs of a quorum (Algorithm 3, line 11), proposes the value of the
    /// highest certificate among them; without any, the value with most endorsements, its own on a tie.
    fn lead(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        let round = self.round;
        let mine = self.key.leader(round, ctx.quorum) == ctx.me;
        if round == 0 || self.led_round >= round || !mine {
            return;
        }
        let changes: Vec<HeldRoundChange> = self
            .round_changes
            .values()
            .filter(|change| change.vote.round() == round)
            // A bare vote that was seen in a proposal shows no certificate, so it cannot be built on.
            .filter(|change| {
                change.vote.statement().prepared.is_none() || change.certificate.is_some()
            })
            .cloned()
            .collect();
        if changes.len() < ctx.quorum.threshold() {
            return;
        }
        let certificate = changes
            .iter()
            .filter_map(|change| change.certificate.as_ref())
            .max_by_key(|certificate| certificate.prepared().round)
            .cloned();
        let root = match &certificate {
            Some(certificate) => Some(certificate.prepared().root),
            None => self.most_endorsed(ctx),
        };
        let Some(root) = root.filter(|root| self.values.contains_key(root)) else { return };
        let endorsements: Vec<Vote> = match certificate {
            Some(_) => Vec::new(),
            None => self.endorsements.values().copied().collect(),
        };
        self.led_round = round;
        let vote = self.vote(ctx, VoteKind::Propose, round, root);
        let shown = endorsements.iter().filter(|vote| vote.root() == root).count();
        self.hold_proposal(round, Proposal { root, certified: certificate.is_some(), shown });
        let roots = endorsements.iter().map(Vote::root).chain([root]).collect();
        let propose = Propose {
            vote: vote.unchecked(),
            round_changes: changes.iter().map(|change| change.vote.unchecked()).collect(),
            certificate: certificate.as_ref().map(Certificate::unchecked),
            endorsements: endorsements.iter().map(Vote::unchecked).collect(),
        };
        self.say(Body::Propose(propose), roots, out);
    }

    fn most_endorsed(&self, ctx: &Context<'_>) -> Option<Root> {
        let mut tallies = self.tallies();
        tallies.retain(|root, _| self.is_source_known(*root, ctx));
        let most = tallies.values().copied().max();
        let best: Vec<Root> = tallies
            .into_iter()
            .filter_map(|(root, count)| (Some(count) == most).then_some(root))
            .collect();
        let own = self.own_value.filter(|own| best.contains(own));
        let candidate = || self.earliest_candidate(ctx).map(|(_, root)| root);
        // Where nobody endorsed anything the leader's own view, or any candidate, is as good.
        own.or_else(|| best.first().copied()).or(self.own_value).or_else(candidate)
    }

    /// The answer to a justified proposal of the node's round (Algorithm 2, line 1).
    fn prepare(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        let round = self.round;
        if round == 0 || self.prepared_round >= round {
            return;
        }
        let Some(proposal) = self.proposals.get(&round) else { return };
        let root = proposal.root;
        if !proposal.certified && !self.is_acceptable(root, proposal.shown, ctx) {
            return;
        }
        self.prepared_round = round;
        let vote = self.vote(ctx, VoteKind::Prepare, round, root);
        self.hold_prepare(vote);
        self.say(Body::Prepare(vote.unchecked()), vec![root], out);
    }

    /// Whether an uncertified value is taken: its source is known, and it does not push aside a value
    /// for which this node holds an honest operator's endorsement at least.
    fn is_acceptable(&self, root: Root, shown: usize, ctx: &Context<'_>) -> bool {
        let honest = ctx.quorum.one_honest();
        // A value that would itself be refused, for its source, stands in nobody's way.
        let stands = |(other, count): (&Root, &usize)| {
            *other != root && *count >= honest && self.is_source_known(*other, ctx)
        };
        let pushes_aside = shown < honest && self.tallies().iter().any(stands);
        let pointless = matches!(self.key, InstanceKey::Block { .. }) && !self.engaged(ctx);
        !pushes_aside && !pointless && self.is_source_known(root, ctx)
    }

    /// A source above all that the own validator client, or w operators' own endorsements, have named
    /// would make later honest votes surround this one.
    fn is_source_known(&self, root: Root, ctx: &Context<'_>) -> bool {
        let Some(value) = self.values.get(&root) else { return false };
        let Some(source) = value.source() else { return true };
        let own = self.own_value.and_then(|own| self.values.get(&own)?.source());
        let mut named: Vec<Epoch> = self
            .counted_endorsements()
            .filter(|vote| vote.statement().own)
            .filter_map(|vote| self.values.get(&vote.root())?.source())
            .collect();
        named.sort_unstable_by(|a, b| b.cmp(a));
        let witnessed = named.get(ctx.view.witnesses.saturating_sub(1)).copied();
        [own, witnessed, ctx.view.source_limit].into_iter().flatten().any(|limit| source <= limit)
    }

    /// A quorum of PREPAREs: prepared, so commit (Algorithm 2, line 4).
    fn commit(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        let round = self.round;
        if round == 0 || self.committed_round >= round {
            return;
        }
        let votes: BTreeMap<_, _> = self
            .prepares
            .iter()
            .filter(|(_, vote)| vote.round() == round)
            .map(|(operator, vote)| (*operator, *vote))
            .collect();
        let Some(root) = majority_root(&votes, ctx.quorum) else { return };
        if !self.values.contains_key(&root) {
            return;
        }
        let votes = votes.into_values().filter(|vote| vote.root() == root).collect();
        let prepared = Prepared { round, root };
        let Some(certificate) = Certificate::new(&self.key, prepared, votes, ctx.quorum) else {
            return;
        };
        self.raise_highest(&certificate);
        self.committed_round = round;
        let vote = self.vote(ctx, VoteKind::Commit, round, root);
        self.hold_commit(vote);
        self.say(Body::Commit(vote.unchecked(), None), vec![root], out);
    }

    /// Keeps each operator's ROUND-CHANGE of its highest round; one with a certificate replaces the
    /// bare vote of the same round.
    fn hold_round_change(&mut self, change: HeldRoundChange) {
        let round = change.vote.round();
        let better = self.round_changes.get(&change.vote.from()).is_none_or(|held| {
            let bare = held.certificate.is_none() && change.certificate.is_some();
            held.vote.round() < round || (held.vote.round() == round && bare)
        });
        if better {
            self.round_changes.insert(change.vote.from(), change);
        }
    }

    fn hold_proposal(&mut self, round: u32, proposal: Proposal) {
        self.proposals.entry(round).or_insert(proposal);
        while self.proposals.len() > PROPOSALS_KEPT {
            self.proposals.pop_last();
        }
    }

    fn hold_prepare(&mut self, vote: Vote) {
        let held = self.prepares.get(&vote.from()).map_or(0, Vote::round);
        if vote.round() > held {
            self.prepares.insert(vote.from(), vote);
        }
    }
}
