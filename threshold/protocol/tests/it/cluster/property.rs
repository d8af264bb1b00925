//! Random walks: any cluster, any weather, crashes, partitions, moods, clocks and liars. The invariants
//! hold after every event; and once all is well again the next slots' duties are signed everywhere.

use std::env;

use eth_types::Slot;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use threshold_protocol::OperatorIndex;

use super::adversary::Strategy as Lie;
use super::clients::{Client, Mood};
use super::links::Weather;
use super::liveness::assert_all_signed;
use super::simulation::{Cluster, Setup};
use crate::support::{EPOCH, SLOT};

/// Walks in a usual run: a few tens of seconds unoptimised.
const CASES: u32 = 32;

/// The number of walks, for long runs.
const CASES_VARIABLE: &str = "SYNOD_CLUSTER_WALKS";

/// Steps of a walk. Most of them let time pass: about a second each, so that a walk takes some slots.
const STEPS: std::ops::Range<usize> = 5..60;

/// Something that happens to a cluster. Operators are numbers that are taken modulo the cluster's.
#[derive(Debug, Clone)]
enum Action {
    /// Time passes, in milliseconds.
    Run(u64),
    Crash(u8),
    Start(u8),
    Cut(u8, u8),
    Mend(u8, u8),
    /// A bit for each operator: its side.
    Partition(u8),
    MendAll,
    Weather(u8),
    Mood(u8, Mood),
    Head(u8, u64),
    /// Its client names the newer source.
    NewerSource(u8),
    BreakDisk(u8),
    RepairDisk(u8),
}

/// The cluster of a walk.
#[derive(Debug, Clone)]
struct Beginning {
    size: (usize, usize),
    seed: u64,
    skews: Vec<i64>,
    liars: Vec<(u8, Lie)>,
    /// Slots into the epoch.
    slot: u64,
}

fn action() -> impl Strategy<Value = Action> {
    let mood = prop_oneof![
        Just(Mood::Prompt),
        Just(Mood::Late),
        Just(Mood::Insistent),
        Just(Mood::Silent)
    ];
    prop_oneof![
        30 => (1_u64..2_500).prop_map(Action::Run),
        2 => any::<u8>().prop_map(Action::Crash),
        3 => any::<u8>().prop_map(Action::Start),
        1 => any::<(u8, u8)>().prop_map(|(a, b)| Action::Cut(a, b)),
        2 => any::<(u8, u8)>().prop_map(|(a, b)| Action::Mend(a, b)),
        1 => any::<u8>().prop_map(Action::Partition),
        2 => Just(Action::MendAll),
        3 => (0_u8..4).prop_map(Action::Weather),
        3 => (any::<u8>(), mood).prop_map(|(operator, mood)| Action::Mood(operator, mood)),
        3 => (any::<u8>(), 0_u64..3).prop_map(|(operator, head)| Action::Head(operator, head)),
        1 => any::<u8>().prop_map(Action::NewerSource),
        1 => any::<u8>().prop_map(Action::BreakDisk),
        2 => any::<u8>().prop_map(Action::RepairDisk),
    ]
}

fn beginning() -> impl Strategy<Value = Beginning> {
    let lie = (0..Lie::ALL.len()).prop_map(|index| Lie::ALL[index]);
    let size = prop_oneof![4 => Just((4, 3)), 1 => Just((7, 5)), 1 => Just((3, 2))];
    let skew = prop_oneof![4 => -60_i64..60, 1 => -2_500_i64..2_500];
    (
        size,
        any::<u64>(),
        prop::collection::vec(skew, 7),
        prop::collection::vec((any::<u8>(), lie), 0..3),
        0_u64..32,
    )
        .prop_map(|(size, seed, skews, liars, slot)| {
            // No more liars than the cluster tolerates: min(floor((n-1)/3), 2t-n-1, n-t).
            let tolerated = match size {
                (7, 5) => 2,
                (4, 3) => 1,
                _ => 0,
            };
            let liars = liars.into_iter().take(tolerated).collect();
            Beginning { size, seed, skews, liars, slot }
        })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 2_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/it/cluster/property.proptest-regressions",
        ))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_cluster_is_safe_on_all_ways_and_signs_again_once_all_is_well(
        beginning in beginning(),
        actions in prop::collection::vec(action(), STEPS),
    ) {
        walk(&beginning, &actions);
    }
}

fn cases() -> u32 {
    env::var(CASES_VARIABLE).ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES)
}

fn walk(beginning: &Beginning, actions: &[Action]) {
    let Beginning { size: (operators, threshold), seed, skews, liars, slot } = beginning.clone();
    let setup = Setup {
        skews,
        first_slot: SLOT.saturating_add(slot),
        ..Setup::new("walk", operators, threshold, seed)
    };
    let mut cluster = Cluster::new(&setup);
    for (number, lie) in liars {
        cluster.corrupt(operator(&cluster, number), lie);
    }
    for action in actions {
        take(&mut cluster, action);
    }
    let slot = recover(&mut cluster);
    cluster.run_to(slot, 11_900);
    assert_all_signed(&cluster, slot);
}

fn operator(cluster: &Cluster, number: u8) -> OperatorIndex {
    cluster.common.quorum.in_turn(u64::from(number))
}

fn take(cluster: &mut Cluster, action: &Action) {
    let of = |number: u8| operator(cluster, number);
    match *action {
        Action::Run(millis) => cluster.run_for(millis),
        Action::Crash(number) => cluster.crash(of(number)),
        Action::Start(number) => cluster.start(of(number)),
        Action::Cut(a, b) => cluster.set_cut(of(a), of(b), true),
        Action::Mend(a, b) => cluster.set_cut(of(a), of(b), false),
        Action::Partition(sides) => cluster.partition(|operator| sides >> operator.get() & 1 == 1),
        Action::MendAll => cluster.partition(|_| false),
        Action::Weather(kind) => {
            let all = [Weather::CALM, Weather::SLOW, Weather::LOSSY, Weather::STORM];
            cluster.weather = all[usize::from(kind)].clone();
        }
        Action::Mood(number, mood) => client(cluster, number).mood = mood,
        Action::Head(number, head) => client(cluster, number).head = head,
        Action::NewerSource(number) => client(cluster, number).source = newer_source(),
        Action::BreakDisk(number) => break_disk(cluster, number, true),
        Action::RepairDisk(number) => break_disk(cluster, number, false),
    }
}

/// All is well again: all nodes up, honest, connected, their clocks right, their clients of one mind.
/// Gives the slot whose duties have to be signed: one to come to terms lies between.
fn recover(cluster: &mut Cluster) -> Slot {
    cluster.weather = Weather::CALM;
    cluster.partition(|_| false);
    cluster.reform();
    for operator in cluster.operators() {
        cluster.nodes[operator.as_usize()].broken_disk = false;
        let skew = &mut cluster.nodes[operator.as_usize()].skew;
        *skew = (*skew).clamp(-60, 60);
        cluster.start(operator);
        // A vote must not be surrounded by the next one: the newest source that anybody named.
        let client = Client { source: newer_source(), ..Client::default() };
        cluster.clients[operator.as_usize()] = client;
    }
    cluster.next_slot().saturating_add(2)
}

fn newer_source() -> eth_types::Epoch {
    EPOCH.saturating_sub(1)
}

fn client(cluster: &mut Cluster, number: u8) -> &mut Client {
    let operator = operator(cluster, number);
    &mut cluster.clients[operator.as_usize()]
}

fn break_disk(cluster: &mut Cluster, number: u8, broken: bool) {
    let operator = operator(cluster, number);
    cluster.nodes[operator.as_usize()].broken_disk = broken;
}
