//! What the program around an engine does: it gives the engine what comes in and carries out what it
//! wants. Every message goes through its bytes.

use eth_types::duty::{Duty, DutyClass};
use eth_types::{Root, Signature};
use rand::RngExt as _;
use threshold_protocol::engine::{Input, Output, RequestId, SignFailure};
use threshold_protocol::message::PeerMessage;
use threshold_protocol::timing::UnixMillis;
use threshold_protocol::{KeyIndex, OperatorIndex};

use super::event_log::Happening;
use super::facts::{Fact, What};
use super::shares;
use super::simulation::{Asked, Cluster, Event};

impl Cluster {
    /// Gives an engine an input and carries out what it wants.
    pub(super) fn feed(&mut self, operator: OperatorIndex, input: Input) {
        let index = operator.as_usize();
        let clock = self.nodes[index].clock(self.now);
        let Some(engine) = &mut self.nodes[index].engine else { return };
        let outputs = engine.handle(input, UnixMillis::new(clock));
        let next = engine.next_timeout().map(UnixMillis::get);
        let load = engine.load();
        for output in outputs {
            self.carry_out(operator, output);
        }
        self.observe(operator, What::Holds(load, next));
        self.wake_at(operator, next);
    }

    /// A request of a client.
    pub(crate) fn ask(
        &mut self,
        operator: OperatorIndex,
        validator: KeyIndex,
        duty: Duty,
        more: u8,
    ) -> Option<RequestId> {
        self.facts.note_duty(&duty);
        let node = &self.nodes[operator.as_usize()];
        // The program looks into its slashing database first, and hands on what may be signed.
        node.engine.as_ref()?;
        if !node.may_ask(validator, &duty) {
            self.refused.push(duty);
            return None;
        }
        let id = RequestId(self.asked.len() as u64);
        let words = duty.message();
        self.note(format!("{operator} is asked ({}): validator {validator}, {words:?}", id.0));
        let asked = Asked {
            by: operator,
            validator,
            duty: duty.clone(),
            at: self.now,
            more,
            outcome: None,
            lost: false,
        };
        self.asked.insert(id, asked);
        self.feed(operator, Input::Request { id, validator, duty });
        Some(id)
    }

    pub(super) fn arrive(
        &mut self,
        from: OperatorIndex,
        to: OperatorIndex,
        generation: u64,
        bytes: &[u8],
    ) {
        let connected = self.links.generation(from, to) == generation && self.is_up(to);
        if !connected {
            return;
        }
        let validators = self.common.validators.len();
        let message = match PeerMessage::decode(bytes, self.network(), validators) {
            Ok(message) => message,
            Err(error) => {
                let lied = self.facts.liars.contains(&from);
                assert!(lied, "operator {from} sent what is no message: {error:?}");
                return;
            }
        };
        assert_eq!(message.encode(), bytes, "decoded, and encoded again");
        self.facts.note_contents(&message);
        let heard = Box::new(message.clone());
        self.log.add(self.now, Happening::Arrived { from, to, message: heard });
        if self.is_liar(to) {
            self.liar_hears(to, from, &message);
        }
        self.feed(to, Input::Message { from, message });
    }

    /// Takes note of the partials that an engine is given.
    pub(super) fn note_released(
        &mut self,
        operator: OperatorIndex,
        input: &Input,
        signed: &[(KeyIndex, Root)],
    ) {
        let Input::Signed { results, .. } = input else { return };
        for ((validator, root), result) in signed.iter().zip(results) {
            if result.is_err() {
                continue;
            }
            let slashable = self.facts.duties[root].class() == DutyClass::Slashable;
            let history = &self.nodes[operator.as_usize()].disk.history;
            let recorded = !slashable || history.holds(*validator, *root);
            let what = What::Released { validator: *validator, root: *root, recorded };
            self.observe(operator, what);
        }
    }

    /// Puts a message on its way.
    pub(super) fn transmit(
        &mut self,
        from: OperatorIndex,
        to: OperatorIndex,
        message: &PeerMessage,
    ) {
        if self.links.is_cut(from, to) || !self.is_up(from) || !self.is_up(to) {
            return;
        }
        *self.sent.entry(name_of(message)).or_default() += 1;
        let bytes = message.encode();
        let generation = self.links.generation(from, to);
        for at in self.links.arrivals(from, to, self.now, &self.weather, &mut self.rng) {
            let bytes = bytes.clone();
            self.schedule(at, Event::Arrive { from, to, generation, bytes });
        }
    }

    fn carry_out(&mut self, operator: OperatorIndex, output: Output) {
        let index = operator.as_usize();
        match output {
            Output::Send(peer, message) => self.send(operator, &[peer], message),
            Output::Broadcast(message) => {
                let peers: Vec<_> = self.operators().filter(|peer| *peer != operator).collect();
                self.send(operator, &peers, message);
            }
            Output::Sign { ticket, jobs } => {
                // Durable now; a crash before it is done loses the partials and not the records.
                let input = self.nodes[index].sign(ticket, &jobs);
                for job in &jobs {
                    self.facts.note_duty(&job.duty);
                }
                let roots = jobs.iter().map(|job| (job.validator, job.duty.signing_root()));
                self.work(operator, input, roots.collect());
            }
            Output::Combine { ticket, root, jobs } => {
                let threshold = self.common.quorum.threshold();
                let results = jobs.iter().map(|job| shares::combine(root, job, threshold));
                let results = results.collect();
                self.work(operator, Input::Combined { ticket, results }, Vec::new());
            }
            Output::Answer { id, outcome } => self.answered(operator, id, outcome),
            Output::KeepWitness { .. } if self.nodes[index].broken_disk => {
                self.note(format!("{operator} cannot keep a witnessed duty"));
            }
            Output::KeepWitness { operator: from, witness, tell } => {
                let kept = &mut self.nodes[index].disk.witnesses;
                if !kept.contains(&(from, witness.clone())) {
                    kept.push((from, witness.clone()));
                }
                if tell {
                    self.carry_out(operator, Output::Broadcast(PeerMessage::Witness(witness)));
                }
            }
            Output::Report(report) => {
                self.note(format!("{operator} reports {report:?}"));
                self.reports.push((operator, self.now, report.clone()));
                self.observe(operator, What::Reported(report));
            }
        }
    }

    /// Work takes its time.
    fn work(&mut self, operator: OperatorIndex, input: Input, signed: Vec<(KeyIndex, Root)>) {
        let life = self.nodes[operator.as_usize()].life;
        let at = self.now + self.rng.random_range(self.weather.work.clone());
        self.schedule(at, Event::Done { operator, life, input, signed });
    }

    fn send(&mut self, from: OperatorIndex, to: &[OperatorIndex], message: PeerMessage) {
        if self.is_liar(from) {
            for peer in to {
                self.liar_would_send(from, *peer, &message);
            }
            return;
        }
        for peer in to {
            self.transmit(from, *peer, &message);
        }
        self.observe(from, What::Said(Box::new(message)));
    }

    fn answered(
        &mut self,
        operator: OperatorIndex,
        id: RequestId,
        outcome: Result<Signature, SignFailure>,
    ) {
        let now = self.now;
        let asked = self.asked.get_mut(&id).unwrap();
        assert!(asked.outcome.is_none(), "request {} of {operator} is answered twice", id.0);
        assert_eq!(asked.by, operator, "request {}", id.0);
        asked.outcome = Some((now, outcome.clone()));
        let (validator, duty, more) = (asked.validator, asked.duty.clone(), asked.more);
        self.note(format!("{operator} answers ({}): {outcome:?}", id.0));
        if let (Err(SignFailure::NotEnough(_)), Some(more)) = (&outcome, more.checked_sub(1)) {
            self.schedule(now + 200, Event::Ask { operator, validator, duty: duty.clone(), more });
        }
        let root = duty.signing_root();
        self.observe(operator, What::Answered { validator, root, outcome });
    }

    fn wake_at(&mut self, operator: OperatorIndex, clock: Option<u64>) {
        let node = &mut self.nodes[operator.as_usize()];
        let wake = clock.map(|clock| node.true_time(clock).max(self.now + 1));
        if node.wake == wake {
            return;
        }
        node.wake = wake;
        let life = node.life;
        if let Some(at) = wake {
            self.schedule(at, Event::Wake { operator, life });
        }
    }

    /// Takes note of what an honest node does.
    fn observe(&mut self, by: OperatorIndex, what: What) {
        if self.facts.liars.contains(&by) {
            return;
        }
        let node = &self.nodes[by.as_usize()];
        let (clock, started) = (node.clock(self.now), node.started);
        self.facts.add(Fact { by, clock, started, what });
    }
}

/// What kind of message it is.
fn name_of(message: &PeerMessage) -> &'static str {
    match message {
        PeerMessage::Agreement(message) => message.body.name(),
        PeerMessage::Partials(_) => "PARTIALS",
        PeerMessage::CosignRequest(_) => "co-sign request",
        PeerMessage::CosignAnswer(_) => "co-sign answer",
        PeerMessage::Witness(_) => "witness",
        PeerMessage::Status(_) => "status",
    }
}
