//! Round 0, leaderless: CANDIDATE, ENDORSE, the certificate C0, LOCK, SPLIT (protocol.md, "Round 0").

use std::collections::BTreeMap;

use eth_types::Root;

use super::instance::{Context, Effect, Instance};
use super::message::Body;
use super::vote::{
    Certificate, Prepared, Statement, UncheckedCertificate, UncheckedVote, Vote, VoteKind,
};
use super::{InstanceKey, Value};
use crate::cluster::{OperatorSet, Quorum};

impl Instance {
    pub(super) fn apply_round0(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        match self.key {
            InstanceKey::Attestation { .. } => self.endorse_attestation(ctx, out),
            InstanceKey::Block { .. } => {
                self.announce_candidate(ctx, out);
                self.endorse_candidate(ctx, out);
            }
        }
        self.certify(ctx, out);
        self.show_split(ctx, out);
    }

    pub(super) fn on_candidate(
        &mut self,
        vote: UncheckedVote,
        values: Vec<Value>,
        ctx: &Context<'_>,
    ) -> Option<()> {
        let vote = self.check(vote, VoteKind::Candidate, ctx)?;
        self.learn(&vote, &values).then_some(())?;
        self.hold_candidate(&vote, ctx);
        Some(())
    }

    pub(super) fn on_endorse(
        &mut self,
        vote: UncheckedVote,
        values: Vec<Value>,
        ctx: &Context<'_>,
        out: &mut Vec<Effect>,
    ) -> Option<()> {
        let vote = self.check(vote, VoteKind::Endorse, ctx)?;
        self.learn(&vote, &values).then_some(())?;
        self.hold_endorsement(vote, out);
        Some(())
    }

    /// A SPLIT holds if its endorsements, and nothing else, leave no value a quorum.
    pub(super) fn on_split(
        &mut self,
        votes: Vec<UncheckedVote>,
        values: Vec<Value>,
        ctx: &Context<'_>,
        out: &mut Vec<Effect>,
    ) -> Option<()> {
        let votes: Vec<Vote> = votes
            .into_iter()
            .map(|vote| self.check(vote, VoteKind::Endorse, ctx))
            .collect::<Option<_>>()?;
        for vote in &votes {
            self.learn(vote, &values);
            self.hold_endorsement(*vote, out);
        }
        is_split(&votes, ctx.quorum).then_some(())?;
        self.split_since.get_or_insert(ctx.now);
        Some(())
    }

    /// LOCK, COMMIT(0) or COMMIT(r). One of round 0 has to show its certificate.
    pub(super) fn on_commit(
        &mut self,
        vote: UncheckedVote,
        certificate: Option<UncheckedCertificate>,
        values: Vec<Value>,
        ctx: &Context<'_>,
        out: &mut Vec<Effect>,
    ) -> Option<()> {
        let vote = self.check(vote, VoteKind::Commit, ctx)?;
        if vote.round() == 0 {
            let certificate = self.check_certificate(certificate?, ctx, out)?;
            let certified = Prepared { round: 0, root: vote.root() };
            (certificate.prepared() == certified).then_some(())?;
            self.learn_certified(vote.root(), &values);
            self.raise_highest(&certificate);
        } else {
            self.learn(&vote, &values);
        }
        self.hold_commit(vote);
        Some(())
    }

    /// Rule 1, blocks: every node tells its own validator client's block to all at once, one per key.
    fn announce_candidate(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        let Some(root) = self.own_value else { return };
        if self.candidates.iter().any(|(operator, _)| *operator == ctx.me) {
            return;
        }
        let vote = self.vote(ctx, VoteKind::Candidate, 0, root);
        self.hold_candidate(&vote, ctx);
        self.say(Body::Candidate(vote.unchecked()), vec![root], out);
    }

    fn hold_candidate(&mut self, vote: &Vote, ctx: &Context<'_>) {
        if self.candidates.iter().all(|(operator, _)| *operator != vote.from()) {
            self.candidates.push((vote.from(), vote.root()));
            // Never before the slot: what came early waits from its start.
            let arrived = ctx.now.max(self.schedule.start);
            self.candidates_since.get_or_insert(arrived);
        }
    }

    /// Rule 1, blocks: the leader's candidate as soon as it is known; after a wait the known candidate
    /// that is earliest in turn. Only with evidence of the duty.
    fn endorse_candidate(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        let witnessed = ctx.view.silent && self.candidates.len() >= ctx.view.witnesses;
        let evidence = self.own_value.is_some() || ctx.view.duty_evidence || witnessed;
        if self.endorsed.is_some() || !evidence {
            return;
        }
        let Some((turn, root)) = self.earliest_candidate(ctx) else { return };
        let waited = self
            .candidates_since
            .is_some_and(|since| ctx.now >= since + self.schedule.candidate_wait);
        if turn == 0 || waited {
            let own = self.own_value == Some(root);
            self.endorse(root, own, ctx, out);
        }
    }

    /// The known candidate whose operator is earliest in turn, with its turn (0: the leader's).
    pub(super) fn earliest_candidate(&self, ctx: &Context<'_>) -> Option<(usize, Root)> {
        self.candidates
            .iter()
            .map(|(operator, root)| (self.key.turn_of(*operator, ctx.quorum), *root))
            .min_by_key(|(turn, _)| *turn)
    }

    /// Rule 1, attestations: the own client's data when first asked; a node that was not asked adopts
    /// what w operators endorse as their own.
    fn endorse_attestation(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        if self.endorsed.is_some() {
            return;
        }
        if let Some(root) = self.own_value {
            self.endorse(root, true, ctx, out);
            return;
        }
        // From round 1 on the leader proposes; adopting then would only hide who saw what.
        if self.round > 0 {
            return;
        }
        let mut owners = BTreeMap::<Root, usize>::new();
        for vote in self.counted_endorsements().filter(|vote| vote.statement().own) {
            *owners.entry(vote.root()).or_default() += 1;
        }
        let adoptable = owners.into_iter().find(|(_, count)| *count >= ctx.view.witnesses);
        let Some((root, _)) = adoptable else { return };
        let since = *self.adoptable_since.get_or_insert(ctx.now);
        if ctx.view.silent || ctx.now >= since + self.schedule.adopt_grace {
            self.endorse(root, false, ctx, out);
        }
    }

    /// At most one ENDORSE per instance.
    fn endorse(&mut self, root: Root, own: bool, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        self.endorsed = Some(root);
        let statement = Statement { own, ..Statement::about(self.key, VoteKind::Endorse, 0, root) };
        let vote = self.sign(ctx, statement);
        self.hold_endorsement(vote, out);
        self.say(Body::Endorse(vote.unchecked()), vec![root], out);
    }

    /// Rules 2 and 3: C0 is locked at once; up to T0 - D, and without a known split, it signs by
    /// itself; later it signs at a quorum of COMMIT(0). Once a ROUND-CHANGE was sent, C0 only goes into
    /// the next one.
    fn certify(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        self.find_certificate(ctx.quorum);
        let Some(certificate) = &self.highest else { return };
        let prepared = certificate.prepared();
        let known = self.values.contains_key(&prepared.root);
        if prepared.round != 0 || self.committed0 || self.round > 0 || !known {
            return;
        }
        let certificate = certificate.unchecked();
        let fast = ctx.now <= self.schedule.fast_until() && self.split_since.is_none();
        self.committed0 = true;
        let vote = self.vote(ctx, VoteKind::Commit, 0, prepared.root);
        self.hold_commit(vote);
        // LOCK goes out before anything is recorded, so a slow disk does not delay it.
        self.say(Body::Commit(vote.unchecked(), Some(certificate)), vec![prepared.root], out);
        if fast {
            self.settle(prepared.root, out);
        }
    }

    fn find_certificate(&mut self, quorum: Quorum) {
        if self.highest.is_some() {
            return;
        }
        let certified = self.tallies().into_iter().find(|(_, count)| *count >= quorum.threshold());
        let Some((root, _)) = certified else { return };
        let votes =
            self.counted_endorsements().filter(|vote| vote.root() == root).copied().collect();
        self.highest = Certificate::new(&self.key, Prepared { round: 0, root }, votes, quorum);
    }

    /// Endorsements that leave no value a quorum are shown to all.
    fn show_split(&mut self, ctx: &Context<'_>, out: &mut Vec<Effect>) {
        if self.split_since.is_some() || self.highest.is_some() || self.round > 0 {
            return;
        }
        let votes: Vec<Vote> = self.endorsements.values().copied().collect();
        if is_split(&votes, ctx.quorum) {
            self.split_since = Some(ctx.now);
            let roots = votes.iter().map(Vote::root).collect();
            self.say(Body::Split(votes.iter().map(Vote::unchecked).collect()), roots, out);
        }
    }
}

/// Whether endorsements leave no value a quorum, even if all who have not endorsed endorsed it.
fn is_split(votes: &[Vote], quorum: Quorum) -> bool {
    let endorsers: OperatorSet = votes.iter().map(Vote::from).collect();
    let mut tallies = BTreeMap::<Root, OperatorSet>::new();
    for vote in votes {
        tallies.entry(vote.root()).or_default().insert(vote.from());
    }
    let most = tallies.values().map(|operators| operators.len()).max().unwrap_or(0);
    let open = quorum.operators().saturating_sub(endorsers.len());
    most + open < quorum.threshold()
}
