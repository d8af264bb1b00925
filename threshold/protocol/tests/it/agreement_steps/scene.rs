//! One node of a cluster, what it can be told, and its effects in words.

use eth_types::duty::Duty;
use eth_types::network::Network;
use eth_types::{Epoch, Root};
use threshold_protocol::agreement::{
    AgreementMessage, Body, Context, Effect, Instance, InstanceKey, Lie, Prepared, Propose,
    RoundChange, Statement, UncheckedCertificate, UncheckedVote, Value, View, Vote, VoteKind,
};
use threshold_protocol::timing::{Schedule, Timing, UnixMillis};
use threshold_protocol::{KeyIndex, OperatorIndex, OperatorSet, Quorum};

use crate::support::{EPOCH, HashIdentity, LOCK_HASH, SLOT, attestation, block, hoodi, root_of};

/// The source that honest clients name: finality is an epoch behind.
const SOURCE: Epoch = Epoch::new(EPOCH.as_u64() - 2);

/// Sources above [`SOURCE`], for the letters X, Y and Z.
const HIGH_SOURCE: Epoch = Epoch::new(EPOCH.as_u64() - 1);

/// What a node is told.
pub(super) enum Input {
    /// Its own client asks for this value.
    Ask(Value),
    /// A peer says this.
    Hear(OperatorIndex, AgreementMessage),
    /// Time has passed.
    Time,
    /// It knows something new.
    See(View),
    /// When does it want to be woken? The answer comes in the place of an effect.
    NextTimeout,
    /// What would it tell a peer that connects?
    Newcomer,
}

/// What a ROUND-CHANGE shows.
#[derive(Clone)]
pub(super) enum Shown {
    /// Endorsements, as `0A 1B`.
    Endorsements(&'static str),
    /// A certificate: its round, its value, its voters.
    Certificate(u32, char, &'static [u8]),
}

/// A node and its instance.
pub(super) struct Scene {
    pub(super) network: Network,
    pub(super) key: InstanceKey,
    pub(super) quorum: Quorum,
    pub(super) me: u8,
    pub(super) participates: bool,
    pub(super) ignored: OperatorSet,
    pub(super) view: std::cell::Cell<View>,
}

impl Scene {
    /// Operator 0 of (4, 3) in the attestation instance of [`SLOT`]. Leaders of rounds 1, 2, 3: 2, 3, 0.
    pub(super) fn attestation() -> Self {
        let key = InstanceKey::Attestation { slot: SLOT, committee: None };
        let view =
            View { silent: false, witnesses: 2, source_limit: Some(SOURCE), duty_evidence: false };
        Self {
            network: hoodi(),
            key,
            quorum: Quorum::new(4, 3).unwrap(),
            me: 0,
            participates: true,
            ignored: OperatorSet::EMPTY,
            view: std::cell::Cell::new(view),
        }
    }

    /// Operator 1 of (4, 3) in the instance of a block. In turn: 0, 1, 2, 3; leaders of rounds 1, 2, 3:
    /// 1, 2, 3.
    pub(super) fn block() -> Self {
        let key = InstanceKey::Block { slot: SLOT, validator: KeyIndex::new(0) };
        Self { key, me: 1, ..Self::attestation() }
    }

    pub(super) fn for_operator(self, me: u8) -> Self {
        Self { me, ..self }
    }

    pub(super) fn of(self, operators: usize, threshold: usize) -> Self {
        Self { quorum: Quorum::new(operators, threshold).unwrap(), ..self }
    }

    pub(super) fn seeing(self, view: View) -> Self {
        Self { view: std::cell::Cell::new(view), ..self }
    }

    /// A node in front of which nobody asks, in a cluster with one client.
    pub(super) fn silent_with_one_witness(self) -> Self {
        let view = View { silent: true, witnesses: 1, ..self.view.get() };
        self.seeing(view)
    }

    pub(super) fn instance(&self) -> Instance {
        let schedule = Schedule::new(&self.key, &self.network, &self.timing());
        Instance::new(self.key, schedule, self.participates, self.ignored)
    }

    /// Gives the instance an input; its effects in words.
    pub(super) fn tell(&self, instance: &mut Instance, at: i64, input: Input) -> Vec<String> {
        let auth = HashIdentity(OperatorIndex::new(self.me));
        let start = self.network.slot_start(self.key.slot());
        let now = UnixMillis::new(start.checked_add_signed(at).unwrap());
        if let Input::See(view) = &input {
            self.view.set(*view);
        }
        let ctx = Context {
            now,
            me: auth.0,
            quorum: self.quorum,
            lock_hash: LOCK_HASH,
            auth: &auth,
            view: self.view.get(),
        };
        let effects = match input {
            Input::Ask(value) => instance.on_own_request(value, &ctx),
            Input::Hear(from, message) => instance.on_message(from, message, &ctx),
            Input::Time | Input::See(_) => instance.on_time(&ctx),
            Input::NextTimeout => {
                return match instance.next_timeout(now) {
                    Some(next) => vec![format!("wake at {}", next.get() - start)],
                    None => Vec::new(),
                };
            }
            Input::Newcomer => {
                return instance.messages_for_newcomer().map(|m| self.message_words(&m)).collect();
            }
        };
        let next = instance.next_timeout(now);
        assert!(next.is_none_or(|next| next > now), "a timer that is due cannot be waited for");
        effects.iter().map(|effect| self.words(effect)).collect()
    }

    // Inputs.

    pub(super) fn asks(&self, letter: char) -> Input {
        Input::Ask(self.value(letter))
    }

    /// A peer's own message.
    pub(super) fn hears(&self, from: u8, body: Body) -> Input {
        Input::Hear(OperatorIndex::new(from), self.message(body))
    }

    /// An operator's endorsement of what its own client asks for.
    pub(super) fn endorse(&self, from: u8, letter: char) -> Input {
        self.hears(from, Body::Endorse(self.endorsement(from, letter, true)))
    }

    /// An operator's endorsement of what it adopted.
    pub(super) fn adopt(&self, from: u8, letter: char) -> Input {
        self.hears(from, Body::Endorse(self.endorsement(from, letter, false)))
    }

    pub(super) fn candidate(&self, from: u8, letter: char) -> Input {
        self.hears(from, Body::Candidate(self.vote(from, VoteKind::Candidate, 0, letter)))
    }

    /// LOCK, or COMMIT(0): with its certificate.
    pub(super) fn lock(&self, from: u8, letter: char, endorsers: &[u8]) -> Input {
        let vote = self.vote(from, VoteKind::Commit, 0, letter);
        self.hears(from, Body::Commit(vote, Some(self.certificate(0, letter, endorsers))))
    }

    pub(super) fn commit(&self, from: u8, round: u32, letter: char) -> Input {
        self.hears(from, Body::Commit(self.vote(from, VoteKind::Commit, round, letter), None))
    }

    pub(super) fn prepare(&self, from: u8, round: u32, letter: char) -> Input {
        self.hears(from, Body::Prepare(self.vote(from, VoteKind::Prepare, round, letter)))
    }

    pub(super) fn split(&self, from: u8, endorsements: &str) -> Input {
        self.hears(from, Body::Split(self.endorsements(endorsements)))
    }

    pub(super) fn round_change(&self, from: u8, round: u32, shown: Shown) -> Input {
        self.hears(from, Body::RoundChange(self.round_change_body(from, round, shown)))
    }

    pub(super) fn round_change_body(&self, from: u8, round: u32, shown: Shown) -> RoundChange {
        let (certificate, endorsements) = match shown {
            Shown::Endorsements(list) => (None, self.endorsements(list)),
            Shown::Certificate(of, letter, voters) => {
                (Some(self.certificate(of, letter, voters)), Vec::new())
            }
        };
        let prepared = certificate.as_ref().map(|certificate| certificate.prepared);
        let vote = self.round_change_vote(from, round, prepared);
        RoundChange { vote, certificate, endorsements }
    }

    /// A PROPOSE of an uncertified value, with the ROUND-CHANGEs of `askers`.
    pub(super) fn propose(
        &self,
        from: u8,
        round: u32,
        letter: char,
        askers: &[u8],
        endorsements: &str,
    ) -> Input {
        let body = self.propose_body(from, round, letter, askers, endorsements);
        self.hears(from, Body::Propose(body))
    }

    pub(super) fn propose_body(
        &self,
        from: u8,
        round: u32,
        letter: char,
        askers: &[u8],
        endorsements: &str,
    ) -> Propose {
        Propose {
            vote: self.vote(from, VoteKind::Propose, round, letter),
            round_changes: askers
                .iter()
                .map(|asker| self.round_change_vote(*asker, round, None))
                .collect(),
            certificate: None,
            endorsements: self.endorsements(endorsements),
        }
    }

    pub(super) fn decided(&self, from: u8, round: u32, letter: char, voters: &[u8]) -> Input {
        let votes =
            voters.iter().map(|voter| self.vote(*voter, VoteKind::Commit, round, letter)).collect();
        self.hears(from, Body::Decided(votes))
    }

    // What messages are made of.

    /// The value of a letter. Attestations of X, Y and Z name a source that nobody else does.
    pub(super) fn value(&self, letter: char) -> Value {
        Value::new(&self.key, self.duty(letter), &self.network).unwrap()
    }

    fn duty(&self, letter: char) -> Duty {
        let number = u64::from(u32::from(letter));
        match self.key {
            InstanceKey::Attestation { slot, .. } => {
                let source = if letter >= 'X' { HIGH_SOURCE } else { SOURCE };
                attestation(slot, number, source, &self.network)
            }
            InstanceKey::Block { slot, .. } => block(slot, 7, number, &self.network),
        }
    }

    pub(super) fn root(&self, letter: char) -> Root {
        self.value(letter).root()
    }

    /// A message with all values that its body names.
    pub(super) fn message(&self, body: Body) -> AgreementMessage {
        let mut named = roots_of(&body);
        named.sort_unstable();
        named.dedup();
        let letters = ('A'..='Z').filter(|letter| named.contains(&self.root(*letter)));
        let values = letters.map(|letter| self.value(letter)).collect();
        AgreementMessage { key: self.key, body, values }
    }

    pub(super) fn vote(&self, from: u8, kind: VoteKind, round: u32, letter: char) -> UncheckedVote {
        self.signed(from, Statement::about(self.key, kind, round, self.root(letter)))
    }

    pub(super) fn endorsement(&self, from: u8, letter: char, own: bool) -> UncheckedVote {
        let about = Statement::about(self.key, VoteKind::Endorse, 0, self.root(letter));
        self.signed(from, Statement { own, ..about })
    }

    /// Own endorsements, from `0A 1B`.
    pub(super) fn endorsements(&self, list: &str) -> Vec<UncheckedVote> {
        let parse = |pair: &str| {
            let (operator, letter) = pair.split_at(pair.len() - 1);
            let letter = letter.chars().next().unwrap();
            self.endorsement(operator.parse().unwrap(), letter, true)
        };
        list.split_whitespace().map(parse).collect()
    }

    pub(super) fn certificate(
        &self,
        round: u32,
        letter: char,
        voters: &[u8],
    ) -> UncheckedCertificate {
        let vote = |voter: &u8| match round {
            0 => self.endorsement(*voter, letter, true),
            _ => self.vote(*voter, VoteKind::Prepare, round, letter),
        };
        let prepared = Prepared { round, root: self.root(letter) };
        UncheckedCertificate { prepared, votes: voters.iter().map(vote).collect() }
    }

    pub(super) fn round_change_vote(
        &self,
        from: u8,
        round: u32,
        prepared: Option<Prepared>,
    ) -> UncheckedVote {
        let about = Statement::about(self.key, VoteKind::RoundChange, round, Root::ZERO);
        self.signed(from, Statement { prepared, ..about })
    }

    pub(super) fn signed(&self, from: u8, statement: Statement) -> UncheckedVote {
        let from = OperatorIndex::new(from);
        Vote::sign(statement, from, &LOCK_HASH, &HashIdentity(from)).unchecked()
    }

    fn timing(&self) -> Timing {
        Timing::for_network(&self.network)
    }

    // Words.

    /// An effect in words.
    fn words(&self, effect: &Effect) -> String {
        match effect {
            Effect::Broadcast(message) => self.message_words(message),
            Effect::Send(peer, message) => format!("to {peer}: {}", self.message_words(message)),
            Effect::Settle(root) => format!("settle {}", self.letter(*root)),
            Effect::Lie(Lie { operator, key, first, second }) => {
                assert_eq!(*key, self.key);
                format!("lie of {operator}: {}, {}", self.letter(*first), self.letter(*second))
            }
        }
    }

    /// A message in words. It has to bring the values that it names, and be signed by this node.
    fn message_words(&self, message: &AgreementMessage) -> String {
        let AgreementMessage { key, body, values } = message;
        assert_eq!(*key, self.key);
        for root in roots_of(body) {
            assert!(values.iter().any(|value| value.root() == root), "{} is missing", body.name());
        }
        assert!(body.author().is_none_or(|author| author.get() == self.me));
        let auth = HashIdentity(OperatorIndex::new(self.me));
        for vote in votes_of(body) {
            assert!(vote.verify(self.quorum, &LOCK_HASH, &auth).is_some(), "signature: {vote:?}");
        }
        match body {
            Body::Candidate(vote) => format!("CANDIDATE {}", self.letter(vote.statement.root)),
            Body::Endorse(vote) => {
                let own = if vote.statement.own { " own" } else { "" };
                format!("ENDORSE {}{own}", self.letter(vote.statement.root))
            }
            Body::Split(votes) => format!("SPLIT{}", self.list(votes)),
            Body::Commit(vote, Some(certificate)) => {
                let root = vote.statement.root;
                assert_eq!(certificate.prepared, Prepared { round: 0, root });
                assert_eq!(vote.statement.round, 0);
                format!("LOCK {}", self.letter(root))
            }
            Body::Commit(vote, None) => self.of_round("COMMIT", vote),
            Body::RoundChange(change) => {
                let round = change.vote.statement.round;
                let shown = match change.vote.statement.prepared {
                    Some(Prepared { round, root }) => {
                        assert!(change.certificate.is_some());
                        format!(" prepared {} in {round}", self.letter(root))
                    }
                    None => format!(" showing{}", self.list(&change.endorsements)),
                };
                format!("ROUND-CHANGE {round}{shown}")
            }
            Body::Propose(propose) => {
                let what = self.of_round("PROPOSE", &propose.vote);
                match &propose.certificate {
                    Some(certificate) => {
                        format!("{what} certified in {}", certificate.prepared.round)
                    }
                    None => format!("{what} showing{}", self.list(&propose.endorsements)),
                }
            }
            Body::Prepare(vote) => self.of_round("PREPARE", vote),
            Body::Decided(votes) => self.of_round("DECIDED", votes.first().unwrap()),
        }
    }

    fn of_round(&self, name: &str, vote: &UncheckedVote) -> String {
        format!("{name} {} {}", vote.statement.round, self.letter(vote.statement.root))
    }

    fn list(&self, endorsements: &[UncheckedVote]) -> String {
        let mut pairs: Vec<String> = endorsements
            .iter()
            .map(|vote| format!(" {}{}", vote.from, self.letter(vote.statement.root)))
            .collect();
        pairs.sort_unstable();
        pairs.concat()
    }

    fn letter(&self, root: Root) -> char {
        ('A'..='Z').find(|letter| self.root(*letter) == root).unwrap_or('?')
    }
}

/// A root that no value has.
pub(super) fn unknown_root() -> Root {
    root_of("nothing", 0)
}

/// The roots of values that a message names in its own name.
fn roots_of(body: &Body) -> Vec<Root> {
    let certified = |certificate: &Option<UncheckedCertificate>| {
        certificate.iter().map(|certificate| certificate.prepared.root).collect::<Vec<_>>()
    };
    let of = |votes: &[UncheckedVote]| votes.iter().map(|vote| vote.statement.root).collect();
    match body {
        Body::Candidate(vote) | Body::Endorse(vote) | Body::Prepare(vote) => {
            vec![vote.statement.root]
        }
        Body::Commit(vote, _) => vec![vote.statement.root],
        Body::Split(votes) | Body::Decided(votes) => of(votes),
        Body::RoundChange(change) => {
            let shown: Vec<Root> = of(&change.endorsements);
            [certified(&change.certificate), shown].concat()
        }
        Body::Propose(propose) => {
            let shown: Vec<Root> = of(&propose.endorsements);
            [vec![propose.vote.statement.root], certified(&propose.certificate), shown].concat()
        }
    }
}

/// All votes in a message.
fn votes_of(body: &Body) -> Vec<UncheckedVote> {
    let of = |certificate: &Option<UncheckedCertificate>| {
        certificate.iter().flat_map(|certificate| certificate.votes.clone()).collect::<Vec<_>>()
    };
    match body {
        Body::Candidate(vote) | Body::Endorse(vote) | Body::Prepare(vote) => vec![*vote],
        Body::Commit(vote, certificate) => [vec![*vote], of(certificate)].concat(),
        Body::Split(votes) | Body::Decided(votes) => votes.clone(),
        Body::RoundChange(change) => {
            [vec![change.vote], of(&change.certificate), change.endorsements.clone()].concat()
        }
        Body::Propose(propose) => [
            vec![propose.vote],
            propose.round_changes.clone(),
            of(&propose.certificate),
            propose.endorsements.clone(),
        ]
        .concat(),
    }
}
