//! The process that other tests start, kill and starve: this test program again, with a task in its
//! environment.

use std::fs::File;
use std::io::{BufRead, Stdout, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use slashing_db::{Options, RecordError, Request, SlashingDb};

use crate::common::{block, identity, key, log_bytes, options, vote};
use crate::crash::Released;
use crate::long_import;

/// What the process is to do, and the database it does it on.
const TASK: &str = "SLASHING_DB_TEST_TASK";
const DATABASE: &str = "SLASHING_DB_TEST_DATABASE";
const SEED: &str = "SLASHING_DB_TEST_SEED";

/// Threads that sign at the same time.
const THREADS: u64 = 4;

/// A command that runs `task` on `database`. `wrap` is a shell line in which `"$@"` is the process.
pub(crate) fn command(task: &str, database: &std::path::Path, seed: u64, wrap: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", wrap, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child::process", "--ignored", "--nocapture", "--test-threads=1"])
        .env(TASK, task)
        .env(DATABASE, database)
        .env(SEED, seed.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

#[test]
#[ignore = "the process that other tests start"]
fn process() {
    let Ok(task) = std::env::var(TASK) else { return };
    // The test runner has begun a line.
    println!();
    let database = PathBuf::from(std::env::var_os(DATABASE).unwrap());
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    match task.as_str() {
        "sign" => sign_for_ever(&database, seed),
        "starve" => sign_on_command(&database),
        "import" => import_file(&database),
        other => panic!("no task {other}"),
    }
}

/// Numbers that look random; the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // Knuth's MMIX generator; its high bits are good.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Signs from several threads, roots against roots, and says on standard output what was released.
/// Ends only by a kill.
fn sign_for_ever(database: &std::path::Path, seed: u64) {
    // Background work all the time: a kill hits that too.
    let options = Options { journal_rows: 8, quiet_after: Duration::ZERO, ..options() };
    let db = SlashingDb::open(database, &identity(), options).unwrap();
    let output = Mutex::new(std::io::stdout());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (db, output) = (&db, &output);
            scope.spawn(move || loop_of_one_thread(db, output, seed, thread));
        }
    });
}

fn loop_of_one_thread(db: &SlashingDb, output: &Mutex<Stdout>, seed: u64, thread: u64) {
    let mut random = Random(seed * THREADS + thread);
    loop {
        // The window moves on with the seed, so that rounds meet in the middle.
        let at = seed + random.below(8);
        let batch: Vec<_> = (0..=random.below(5))
            .map(|_| Request {
                validator: key(random.below(3)),
                candidate: match random.below(3) {
                    0 => block(at, random.below(3)),
                    _ => vote(at, at + 1 + random.below(2), random.below(3)),
                },
            })
            .collect();
        let permits = db.record(batch.clone()).unwrap();
        let mut output = output.lock().unwrap();
        for (request, permit) in batch.iter().zip(permits) {
            if permit.is_ok() {
                let (validator, candidate) = (request.validator, request.candidate);
                writeln!(output, "released {}", Released { validator, candidate }).unwrap();
            }
        }
        output.flush().unwrap();
    }
}

/// Imports the file beside the database and says how far it is, how long the write-ahead log got and
/// how much memory the process had at most.
fn import_file(database: &std::path::Path) {
    let db = SlashingDb::open(database, &identity(), options()).unwrap();
    let mut file = File::open(long_import::file_beside(database)).unwrap();
    let mut longest_log = 0;
    let mut told = 0;
    let started = Instant::now();
    let report = db
        .import(&mut file, &|key| Some(*key), &mut |progress| {
            longest_log = longest_log.max(log_bytes(database));
            let hundredth = progress.done * 100 / progress.total;
            if hundredth > told {
                told = hundredth;
                println!("done {hundredth}");
            }
        })
        .unwrap();
    assert_eq!(report.refused(), 0);
    let millis = started.elapsed().as_millis();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kib = peak.and_then(|text| text.trim().strip_suffix(" kB")).unwrap_or("0");
    println!("log {longest_log}\nmillis {millis}\npeak {peak_kib}");
}

/// For each line on standard input: `sign N` records block N and answers `signed` or the error;
/// `room` lifts the limit on the size of files.
fn sign_on_command(database: &std::path::Path) {
    let options = Options { quiet_after: Duration::from_secs(3600), ..options() };
    let db = SlashingDb::open(database, &identity(), options).unwrap();
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let answer = match line.split_once(' ') {
            Some(("sign", slot)) => {
                let candidate = block(slot.parse().unwrap(), 1);
                match db.record(vec![Request { validator: key(1), candidate }]) {
                    Ok(permits) => format!("signed {}", permits[0].is_ok()),
                    Err(RecordError::Stopped(stop)) => {
                        assert!(db.health().is_err());
                        assert!(db.check(&key(1), &candidate).is_err());
                        format!("stopped {stop}")
                    }
                    Err(error) => format!("error {error}"),
                }
            }
            _ => {
                let limit = getrlimit(Resource::Fsize);
                setrlimit(
                    Resource::Fsize,
                    Rlimit { current: limit.maximum, maximum: limit.maximum },
                )
                .unwrap();
                "room".to_owned()
            }
        };
        println!("{answer}");
    }
}
