//! A standalone signer over HTTP beside the floor of the same machine in the same run: attestations a
//! second with every record durable, for 1, 32 and 312 requests in flight; and what 10,000 known keys
//! cost.
//!
//! `cargo bench -p tests --bench standalone`; `SYNOD_BENCH_DIR` chooses the disk (default: the system's
//! temporary directory). The floor is one `blst` signature and one append with its sync. The client
//! shares the processor with the signer, whose own CPU time is shown beside.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a bench that cannot go on ends; its figures are small"
)]

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use eth_types::{Epoch, PublicKey, Root};
use tempfile::TempDir;
use tests::{Chain, Process, Program};
use threshold_protocol::bls::SecretKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Keys that sign in turn.
const KEYS: usize = 1000;
/// Keys that are only known.
const KNOWN: usize = 10_000;
/// Requests in flight, and how many are sent in all.
const LOADS: [(usize, usize); 3] = [(1, 1500), (32, 12_000), (312, 24_000)];
/// What a record has to say.
const RECORD_BYTES: usize = 72;

#[tokio::main]
async fn main() {
    // `cargo test --benches` asks for nothing to be measured.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let cores = std::thread::available_parallelism().unwrap().get();
    println!("{cores} cores, files in {}", base().display());
    for same_root in [true, false] {
        let votes =
            if same_root { "one vote for all keys of a slot" } else { "each key its own vote" };
        println!("\n{votes}");
        for (in_flight, requests) in LOADS {
            measure(in_flight, requests, same_root, cores).await;
        }
    }
    println!();
    measure_known().await;
}

async fn measure(in_flight: usize, requests: usize, same_root: bool, cores: usize) {
    let (sign, sync) = (floor_sign(), floor_sync());
    let signer = Signer::start(KEYS).await;
    let asks: Arc<Vec<(usize, String)>> =
        Arc::new((0..requests).map(|number| signer.request(number, same_root)).collect());
    let (next, cpu) = (Arc::new(AtomicUsize::new(0)), signer.cpu());
    let unsigned = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let clients: Vec<_> = (0..in_flight)
        .map(|_| {
            let (asks, next, unsigned) =
                (Arc::clone(&asks), Arc::clone(&next), Arc::clone(&unsigned));
            tokio::spawn(client(signer.http, asks, next, unsigned))
        })
        .collect();
    let mut times = Vec::with_capacity(requests);
    for client in clients {
        times.extend(client.await.unwrap());
    }
    let (wall, cpu) = (begun.elapsed(), signer.cpu() - cpu);
    times.sort_unstable();
    let per_signature = wall / requests as u32;
    let floor = sign / cores as u32 + sync / in_flight as u32;
    println!(
        "{in_flight:>4} in flight: {:>6.0}/s, p50 {:>6.2} ms, p99 {:>6.2} ms; signer's CPU {:>4.0} us each, \
         {:>5.0}/s per core of it; floor: sign {} us, sync {} us, {:>5.1} us each together: {:.2} x; {} not signed",
        requests as f64 / wall.as_secs_f64(),
        millis(times[requests / 2]),
        millis(times[requests * 99 / 100]),
        cpu.as_secs_f64() * 1e6 / requests as f64,
        requests as f64 / cpu.as_secs_f64(),
        sign.as_micros(),
        sync.as_micros(),
        floor.as_secs_f64() * 1e6,
        per_signature.as_secs_f64() / floor.as_secs_f64(),
        unsigned.load(Ordering::Relaxed),
    );
}

async fn measure_known() {
    let begun = Instant::now();
    let signer = Signer::start(KNOWN).await;
    let started = begun.elapsed();
    let mut stream = TcpStream::connect(signer.http).await.unwrap();
    let request = "GET /api/v1/eth2/publicKeys HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut times = Vec::new();
    for _ in 0..100 {
        let begun = Instant::now();
        let body = exchange(&mut stream, request).await;
        times.push(begun.elapsed());
        assert_eq!(body.matches("0x").count(), KNOWN);
    }
    times.sort_unstable();
    println!(
        "{KNOWN} raw keys: loaded {:.2} s after the start, {} MiB resident, publicKeys p50 {:.1} ms, p99 {:.1} ms",
        started.as_secs_f64(),
        signer.resident() / 1024 / 1024,
        millis(times[50]),
        millis(times[99]),
    );
}

/// A running signer and its keys.
struct Signer {
    process: Process,
    http: SocketAddr,
    keys: Vec<PublicKey>,
    chain: Chain,
    _dir: TempDir,
}

impl Signer {
    /// Starts it, and waits until its keys are loaded.
    async fn start(keys: usize) -> Self {
        let dir = tempfile::tempdir_in(base()).unwrap();
        let config = dir.path().join("config.yaml");
        let chain = Chain::numbered(1);
        chain.write_config(&config);
        let keys = write_keys(&dir.path().join("keys"), keys);
        let mut args: Vec<String> = vec![
            "standalone".into(),
            "--data-dir".into(),
            dir.path().display().to_string(),
            "--http-listen-port=0".into(),
            "--metrics-enabled=false".into(),
        ];
        args.extend(chain.options(&config));
        let program = Program::at(env!("CARGO_BIN_EXE_synod-under-test"));
        let mut process = program.start(args);
        let http = process
            .logged(|line| {
                let (_, rest) = line.split_once("http=")?;
                rest.split_whitespace().next()?.parse().ok()
            })
            .await;
        process.logged(|line| line.contains("keys loaded").then_some(())).await;
        Self { process, http, keys, chain, _dir: dir }
    }

    /// Which key is asked for a vote in which epoch, so that every request is a new record.
    fn request(&self, number: usize, same_root: bool) -> (usize, String) {
        let (key, epoch) = (number % self.keys.len(), 10 + (number / self.keys.len()) as u64);
        let head = if same_root { 0 } else { key };
        let zeros = "00".repeat(32);
        let body = format!(
            "{{\"type\":\"ATTESTATION\",\"fork_info\":{},\"attestation\":{{\"slot\":\"{}\",\"index\":\"0\",\
             \"beacon_block_root\":\"0x{head:064x}\",\"source\":{{\"epoch\":\"{}\",\"root\":\"0x{zeros}\"}},\
             \"target\":{{\"epoch\":\"{epoch}\",\"root\":\"0x{zeros}\"}}}}}}",
            serde_json::to_string(&self.chain.fork_info(Epoch::new(epoch))).unwrap(),
            epoch * 8,
            epoch - 1,
        );
        let text = format!(
            "POST /api/v1/eth2/sign/{} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.keys[key],
            body.len(),
        );
        (key, text)
    }

    /// CPU time that it has used.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // utime and stime, in hundredths of a second.
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Bytes of memory that it has.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// Sends requests one after the other over one connection, as long as there are any.
async fn client(
    http: SocketAddr,
    asks: Arc<Vec<(usize, String)>>,
    next: Arc<AtomicUsize>,
    unsigned: Arc<AtomicUsize>,
) -> Vec<Duration> {
    let mut stream = TcpStream::connect(http).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut times = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some((_, request)) = asks.get(number) else { return times };
        let begun = Instant::now();
        let body = exchange(&mut stream, request).await;
        times.push(begun.elapsed());
        if !body.starts_with("{\"signature\":\"0x") {
            // A disk that stalls for longer than a client waits; the figures say how often.
            unsigned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One request and the body of its answer.
async fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::with_capacity(1024);
    loop {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "the connection ended");
        let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&answer[..end]).unwrap().to_ascii_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
        while answer.len() < end + 4 + length {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "the connection ended");
        }
        return String::from_utf8(answer.split_off(end + 4)).unwrap();
    }
}

/// Writes raw keys, one file each, and returns their public keys.
fn write_keys(dir: &Path, count: usize) -> Vec<PublicKey> {
    fs::create_dir(dir).unwrap();
    (0..count)
        .map(|number| {
            let mut bytes = [0x11; 32];
            bytes[24..].copy_from_slice(&(number as u64).to_be_bytes());
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let yaml = format!("type: file-raw\nprivateKey: 0x{hex}\n");
            fs::write(dir.join(format!("{number}.yaml")), yaml).unwrap();
            SecretKey::from_bytes(&bytes).unwrap().public_key()
        })
        .collect()
}

/// The median of one signature.
fn floor_sign() -> Duration {
    let secret = SecretKey::from_bytes(&[0x11; 32]).unwrap();
    median(200, |number| {
        std::hint::black_box(secret.sign(&Root::new([number as u8; 32])));
    })
}

/// The median of one append with its sync.
fn floor_sync() -> Duration {
    let mut file = tempfile::tempfile_in(base()).unwrap();
    median(200, |_| append(&mut file))
}

fn append(file: &mut File) {
    file.write_all(&[7; RECORD_BYTES]).unwrap();
    file.sync_data().unwrap();
}

fn median(times: usize, mut work: impl FnMut(usize)) -> Duration {
    let mut taken: Vec<Duration> = (0..times)
        .map(|number| {
            let begun = Instant::now();
            work(number);
            begun.elapsed()
        })
        .collect();
    taken.sort_unstable();
    taken[times / 2]
}

fn base() -> PathBuf {
    std::env::var_os("SYNOD_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
