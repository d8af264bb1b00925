//! The network between nodes: a stream for each pair and direction, with the weather's delay, loss and
//! disorder. A link that is cut loses what is on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rand::RngExt as _;
use rand::rngs::StdRng;
use threshold_protocol::OperatorIndex;

/// What the network and the machines are like at the moment.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// Delay of a message, in milliseconds.
    pub(crate) delay: RangeInclusive<u64>,
    /// Messages lost on links that stand (a full queue drops its oldest duty), in percent.
    pub(crate) loss: u32,
    /// Messages that come twice, in percent.
    pub(crate) doubled: u32,
    /// Whether messages of one link keep their order.
    pub(crate) in_order: bool,
    /// How long recording, signing or combining takes, in milliseconds.
    pub(crate) work: RangeInclusive<u64>,
}

impl Weather {
    /// A good day: delay and skew well within D.
    pub(crate) const CALM: Self =
        Self { delay: 2..=40, loss: 0, doubled: 0, in_order: true, work: 1..=15 };
    /// Delays beyond D.
    pub(crate) const SLOW: Self =
        Self { delay: 100..=900, loss: 0, doubled: 0, in_order: true, work: 1..=300 };
    /// Messages lost, doubled and out of order.
    pub(crate) const LOSSY: Self =
        Self { delay: 5..=80, loss: 15, doubled: 10, in_order: false, work: 1..=30 };
    /// All of it.
    pub(crate) const STORM: Self =
        Self { delay: 0..=2_500, loss: 30, doubled: 20, in_order: false, work: 1..=1_500 };
    /// No time passes, so that messages can be counted.
    pub(crate) const NONE: Self =
        Self { delay: 1..=1, loss: 0, doubled: 0, in_order: true, work: 0..=0 };
}

/// The links between all nodes.
#[derive(Debug)]
pub(crate) struct Links {
    /// Pairs that cannot talk, the lower operator first.
    cut: BTreeSet<(OperatorIndex, OperatorIndex)>,
    /// When the last message of a directed link arrives.
    last: BTreeMap<(OperatorIndex, OperatorIndex), u64>,
    /// Counts the connections of a pair: a message of an earlier one is lost.
    generations: BTreeMap<(OperatorIndex, OperatorIndex), u64>,
}

impl Links {
    pub(crate) fn new() -> Self {
        Self { cut: BTreeSet::new(), last: BTreeMap::new(), generations: BTreeMap::new() }
    }

    /// Cuts or mends a link; true if that is a change.
    pub(crate) fn set_cut(&mut self, a: OperatorIndex, b: OperatorIndex, cut: bool) -> bool {
        if cut { self.cut.insert(pair(a, b)) } else { self.cut.remove(&pair(a, b)) }
    }

    pub(crate) fn is_cut(&self, a: OperatorIndex, b: OperatorIndex) -> bool {
        self.cut.contains(&pair(a, b))
    }

    /// Begins a connection, or ends one: what is on its way is lost.
    pub(crate) fn renew(&mut self, a: OperatorIndex, b: OperatorIndex) {
        *self.generations.entry(pair(a, b)).or_default() += 1;
        self.last.remove(&(a, b));
        self.last.remove(&(b, a));
    }

    pub(crate) fn generation(&self, a: OperatorIndex, b: OperatorIndex) -> u64 {
        self.generations.get(&pair(a, b)).copied().unwrap_or_default()
    }

    /// When a message that is sent now arrives: never, once or twice.
    pub(crate) fn arrivals(
        &mut self,
        from: OperatorIndex,
        to: OperatorIndex,
        now: u64,
        weather: &Weather,
        rng: &mut StdRng,
    ) -> Vec<u64> {
        let mut percent = |chance: u32| rng.random_range(0..100) < chance;
        let times = match (percent(weather.loss), percent(weather.doubled)) {
            (true, _) => 0,
            (false, doubled) => 1 + usize::from(doubled),
        };
        (0..times)
            .map(|_| {
                let arrival = now + rng.random_range(weather.delay.clone());
                if !weather.in_order {
                    return arrival;
                }
                let last = self.last.entry((from, to)).or_default();
                *last = arrival.max(*last);
                *last
            })
            .collect()
    }
}

fn pair(a: OperatorIndex, b: OperatorIndex) -> (OperatorIndex, OperatorIndex) {
    (a.min(b), a.max(b))
}
