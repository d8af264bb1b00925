//! How long a standalone signer takes to load scrypt keystores, beside the bare key derivations on all cores
//! in the same run; how much memory it had at most; and how long the next start takes, which finds the keys
//! in the cache.
//!
//! `cargo bench -p tests --bench keystores [-- COUNT LOG_N]`; without arguments a few keystores of 256 MiB
//! (log n = 18), which is what staking tools make, and 10,000 of 1 MiB (log n = 10), which show what a
//! keystore costs besides. `SYNOD_BENCH_DIR` chooses the disk.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a bench that cannot go on ends; its figures are small"
)]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tests::{Chain, Process, Program};
use threshold::keystore::{KdfCost, Keystore, Password, SHARE_PATH};
use threshold_protocol::bls::SecretKey;

const PASSWORD: &str = "correct horse";
/// What is loaded unless the command line says otherwise: how many, and scrypt's log n.
const LOADS: [(usize, u8); 2] = [(16, 18), (10_000, 10)];
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(6 * 60 * 60);

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test --benches` asks for nothing to be measured.
    if !args.iter().any(|arg| arg == "--bench") {
        return;
    }
    let numbers: Vec<usize> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    if let [count, log_n] = *numbers {
        return measure(count, log_n as u8).await;
    }
    for (count, log_n) in LOADS {
        measure(count, log_n).await;
    }
}

async fn measure(count: usize, log_n: u8) {
    let cores = thread::available_parallelism().unwrap().get();
    let cost = KdfCost::Scrypt { log_n, r: 8, p: 1 };
    let dir = tempfile::tempdir_in(base()).unwrap();
    write_keystores(&dir.path().join("keystores"), count, cost);
    fs::write(dir.path().join("password.txt"), PASSWORD).unwrap();
    let floor = floor(cores, cost, count.min(200 * cores)) * count as u32;

    let (process, first) = started(dir.path()).await;
    let peak = peak_mib(&process);
    stop(process);
    let (process, second) = started(dir.path()).await;
    stop(process);
    println!(
        "{count} scrypt keystores of {} MiB: {:.1} s, {:.2} x the bare derivations on {cores} cores, at most {peak} MiB; \
         the next start: {:.2} s",
        ((128 * 8_usize) << log_n) >> 20,
        first.as_secs_f64(),
        first.as_secs_f64() / floor.as_secs_f64(),
        second.as_secs_f64(),
    );
}

/// Wall time of one derivation while all cores derive.
fn floor(cores: usize, cost: KdfCost, rounds: usize) -> Duration {
    let (keystore, password) = (keystore(1, cost), Password::new(PASSWORD).unwrap());
    let begun = Instant::now();
    on_all_cores(cores, rounds, |_| {
        black_box(keystore.decrypt(&password).unwrap());
    });
    begun.elapsed() / rounds as u32
}

fn write_keystores(dir: &Path, count: usize, cost: KdfCost) {
    fs::create_dir(dir).unwrap();
    let cores = thread::available_parallelism().unwrap().get();
    on_all_cores(cores, count, |number| {
        let text = keystore(number, cost).to_json().unwrap();
        fs::write(dir.join(format!("keystore-{number}.json")), text).unwrap();
    });
}

fn keystore(number: usize, cost: KdfCost) -> Keystore {
    let mut bytes = [0x11; 32];
    bytes[24..].copy_from_slice(&(number as u64).to_be_bytes());
    let secret = SecretKey::from_bytes(&bytes).unwrap();
    Keystore::encrypt(&secret, &Password::new(PASSWORD).unwrap(), cost, SHARE_PATH).unwrap()
}

fn on_all_cores(cores: usize, count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

/// A signer in this directory whose keys are all loaded, and how long that took.
async fn started(dir: &Path) -> (Process, Duration) {
    let config = dir.join("config.yaml");
    let chain = Chain::numbered(1);
    if !config.exists() {
        chain.write_config(&config);
    }
    let option = |name: &str, file: &str| format!("--{name}={}", dir.join(file).display());
    let mut args = vec![
        "standalone".to_owned(),
        option("data-dir", "data"),
        option("keystores-path", "keystores"),
        option("keystores-password-file", "password.txt"),
        "--http-listen-port=0".to_owned(),
        "--metrics-enabled=false".to_owned(),
    ];
    args.extend(chain.options(&config));
    let begun = Instant::now();
    let process = Program::at(env!("CARGO_BIN_EXE_synod-under-test")).start(args);
    let loaded = async {
        while !process.log().contains("keys loaded") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, loaded).await.unwrap();
    (process, begun.elapsed())
}

fn stop(mut process: Process) {
    process.terminate();
    assert!(process.wait().success(), "{}", process.log());
}

/// The most memory that it had at once.
fn peak_mib(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn base() -> PathBuf {
    std::env::var_os("SYNOD_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}
