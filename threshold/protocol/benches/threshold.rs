//! What a threshold signature costs one node, beside the floor that it cannot go below.
//!
//! `cargo bench -p threshold-protocol --bench threshold` measures the flow and its parts with criterion
//! (`threshold/(n, t)/..`), then prints a table of both, taken in alternation and in CPU time of the
//! thread, so that what else the machine does matters little:
//!
//! - **flow**: for k validators of one slot with one root, sign with the own share, then
//!   [`combine_and_verify`] with the own partial and t-1 others as they come off the wire;
//! - **floor**: the operations that the maths cannot do without, one after the other and nothing
//!   around them: k constant-time signatures; k interpolations of points that are decoded already;
//!   k subgroup checks and one random linear combination with two pairings;
//! - **with decoding**: the floor plus decoding the t-1 partials of the peers, which 96-byte partials
//!   cost everybody.
//!
//! The root is hashed beforehand in all of them (once per duty, whatever k). The bar is a ratio of flow
//! to floor of at most 1.5 at k = 312 with 4 operators.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench stops where something is wrong with it"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use blst::min_pk::{PublicKey as BlstKey, Signature as BlstSignature};
use blst::{
    MultiPoint, blst_fp12, blst_p1, blst_p1_affine, blst_p2, blst_p2_affine, p1_affines, p2_affines,
};
use criterion::{BatchSize, Criterion, Throughput};
use eth_types::primitives::Root;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use threshold_protocol::bls::{
    CombineItem, HashedMessage, PartialSignature, PublicShares, SecretKey, SecretShare, ShareIndex,
    SigningShare, Threshold, combine, combine_and_verify, split,
};

const CLUSTERS: [(u8, u8); 2] = [(4, 3), (7, 5)];
const VALIDATORS: [usize; 4] = [1, 16, 64, 312];
/// How long the table's measurement of one line may take.
const LINE: Duration = Duration::from_secs(4);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (n, t) in CLUSTERS {
        for k in VALIDATORS {
            with_criterion(&mut criterion, &Duty::new(n, t, k));
        }
    }
    criterion.final_summary();
    // `cargo test --benches` only wants to see it run.
    let line =
        if std::env::args().any(|argument| argument == "--test") { Duration::ZERO } else { LINE };
    println!("\nCPU microseconds per signature (medians), one thread");
    println!(
        "{:>8} {:>5} {:>8} {:>8} {:>8} | {:>6} {:>8} {:>7} {:>7} | {:>12} {:>14}",
        "cluster",
        "k",
        "flow",
        "floor",
        "+decode",
        "sign",
        "combine",
        "verify",
        "decode",
        "flow / floor",
        "flow / +decode"
    );
    for (n, t) in CLUSTERS {
        for k in VALIDATORS {
            table_line(&Duty::new(n, t, k), line);
        }
    }
}

/// One root signed for k validators, seen from operator 1.
struct Duty {
    threshold: Threshold,
    message: HashedMessage,
    validators: Vec<Validator>,
    /// The signatures that come out, for the floor of verifying them.
    keys: Vec<blst_p1_affine>,
    signatures: Vec<BlstSignature>,
    hash: blst_p2_affine,
    negative_generator: blst_p1_affine,
}

struct Validator {
    own: SigningShare,
    public: PublicShares,
    /// Those of operators 2 to t.
    peers: Vec<(ShareIndex, PartialSignature)>,
}

impl Duty {
    fn new(n: u8, t: u8, k: usize) -> Self {
        let threshold = Threshold::new(n, t).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let root = Root::new([7; 32]);
        let message = HashedMessage::new(&root);
        let (mut validators, mut keys, mut signatures) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..k {
            let key = SecretKey::generate(&mut rng);
            let shares = split(&key, threshold, &mut rng).unwrap();
            let publics: Vec<_> = shares.iter().map(SecretShare::public_share).collect();
            let public = PublicShares::new(&key.public_key(), &publics, threshold).unwrap();
            let mut signing = shares.into_iter().map(|s| SigningShare::new(s, threshold).unwrap());
            let own = signing.next().unwrap();
            let peers = signing
                .take(usize::from(t) - 1)
                .map(|share| (share.index(), share.sign(&message)))
                .collect();
            keys.push(BlstKey::uncompress(key.public_key().as_bytes()).unwrap().into());
            signatures.push(BlstSignature::uncompress(key.sign(&root).as_bytes()).unwrap());
            validators.push(Validator { own, public, peers });
        }
        // The signature by the key 1 is the hashed message; its public key is the generator.
        let mut one = [0; 32];
        one[31] = 1;
        let one = SecretKey::from_bytes(&one).unwrap();
        let hash = BlstSignature::uncompress(one.sign(&root).as_bytes()).unwrap().into();
        let mut negative = *one.public_key().as_bytes();
        negative[0] ^= 0x20;
        let negative_generator = BlstKey::uncompress(&negative).unwrap().into();
        Self { threshold, message, validators, keys, signatures, hash, negative_generator }
    }

    /// What a node does.
    fn flow(&self, seed: [u8; 32]) {
        let results = combine_and_verify(self.threshold, &self.message, &self.signed(), seed);
        assert!(results.iter().all(Result::is_ok));
    }

    /// The same with one wrong partial among all, and exactly t for each validator.
    fn flow_with_a_liar(&self, seed: [u8; 32]) {
        let mut items = self.signed();
        let last = items.len() - 1;
        items[last].partials[1].1 = items[last].partials[0].1;
        let results = combine_and_verify(self.threshold, &self.message, &items, seed);
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    }

    /// All signed with the own share, the partials of the peers beside it.
    fn signed(&self) -> Vec<CombineItem<'_>> {
        self.validators
            .iter()
            .map(|validator| {
                let own = validator.own.sign(&self.message);
                let mut partials = Vec::with_capacity(usize::from(self.threshold.threshold()));
                partials.push((validator.own.index(), own));
                partials.extend_from_slice(&validator.peers);
                CombineItem { shares: &validator.public, partials }
            })
            .collect()
    }

    fn floor_sign(&self) {
        for validator in &self.validators {
            black_box(validator.own.sign(&self.message));
        }
    }

    /// Decoding the t-1 partials of the peers.
    fn floor_decode(&self) {
        for validator in &self.validators {
            for (_, partial) in &validator.peers {
                black_box(BlstSignature::uncompress(partial.as_bytes()).unwrap());
            }
        }
    }

    /// Interpolating t partials, decoding included: what decoding takes is subtracted.
    fn floor_combine_decoding(&self, partials: &[Vec<(ShareIndex, PartialSignature)>]) {
        for partials in partials {
            black_box(combine(self.threshold, partials).unwrap());
        }
    }

    /// Decoding what [`Duty::floor_combine_decoding`] decodes.
    fn floor_combine_decode_only(&self, partials: &[Vec<(ShareIndex, PartialSignature)>]) {
        for (_, partial) in partials.iter().flatten() {
            black_box(BlstSignature::uncompress(partial.as_bytes()).unwrap());
        }
    }

    fn own_and_peers(&self) -> Vec<Vec<(ShareIndex, PartialSignature)>> {
        self.validators
            .iter()
            .map(|validator| {
                let own = (validator.own.index(), validator.own.sign(&self.message));
                std::iter::once(own).chain(validator.peers.iter().copied()).collect()
            })
            .collect()
    }

    /// Subgroup checks, two multi-scalar multiplications with 64-bit scalars, two pairings.
    fn floor_verify(&self, rng: &mut StdRng) {
        assert!(self.signatures.iter().all(|signature| signature.validate(true).is_ok()));
        let points: Vec<blst_p2_affine> =
            self.signatures.iter().map(|signature| (*signature).into()).collect();
        let (key, signature) = if points.len() == 1 {
            (self.keys[0], points[0])
        } else {
            let mut scalars = vec![0; 8 * points.len()];
            rng.fill_bytes(&mut scalars);
            let key: blst_p1 = self.keys.mult(&scalars, 64);
            let signature: blst_p2 = points.mult(&scalars, 64);
            (p1_affines::from(&[key])[0], p2_affines::from(&[signature])[0])
        };
        let product =
            blst_fp12::miller_loop_n(&[self.hash, signature], &[key, self.negative_generator]);
        assert!(product.final_exp() == blst_fp12::default());
    }
}

fn with_criterion(criterion: &mut Criterion, duty: &Duty) {
    let k = duty.validators.len();
    let (n, t) = (duty.threshold.operators(), duty.threshold.threshold());
    let mut group = criterion.benchmark_group(format!("threshold/({n}, {t})/{k}"));
    group.throughput(Throughput::Elements(k.try_into().unwrap())).sample_size(10);
    let mut rng = StdRng::seed_from_u64(2);
    let mut seeds = StdRng::seed_from_u64(3);
    group.bench_function("flow", |bencher| {
        bencher.iter_batched(|| seed(&mut seeds), |seed| duty.flow(seed), BatchSize::SmallInput);
    });
    group.bench_function("flow with a liar", |bencher| {
        bencher.iter_batched(
            || seed(&mut seeds),
            |seed| duty.flow_with_a_liar(seed),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("sign", |bencher| bencher.iter(|| duty.floor_sign()));
    group.bench_function("verify", |bencher| bencher.iter(|| duty.floor_verify(&mut rng)));
    group.finish();
}

fn seed(rng: &mut StdRng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    seed
}

fn table_line(duty: &Duty, line: Duration) {
    let partials = duty.own_and_peers();
    let mut rng = StdRng::seed_from_u64(4);
    let mut columns: [Vec<f64>; 6] = Default::default();
    let begin = Instant::now();
    while columns[0].is_empty() || begin.elapsed() < line {
        let seed = seed(&mut rng);
        columns[0].push(per_signature(duty, || duty.flow(seed)));
        columns[1].push(per_signature(duty, || duty.floor_sign()));
        columns[2].push(per_signature(duty, || duty.floor_combine_decoding(&partials)));
        columns[3].push(per_signature(duty, || duty.floor_combine_decode_only(&partials)));
        columns[4].push(per_signature(duty, || duty.floor_verify(&mut rng)));
        columns[5].push(per_signature(duty, || duty.floor_decode()));
    }
    let [flow, sign, combining, decoding, verify, decode] = columns.map(median);
    let combine = combining - decoding;
    let floor = sign + combine + verify;
    let with_decoding = floor + decode;
    let (n, t) = (duty.threshold.operators(), duty.threshold.threshold());
    println!(
        "{:>8} {:>5} {flow:>8.1} {floor:>8.1} {with_decoding:>8.1} | {sign:>6.1} {combine:>8.1} \
         {verify:>7.1} {decode:>7.1} | {:>12.2} {:>14.2}",
        format!("({n}, {t})"),
        duty.validators.len(),
        flow / floor,
        flow / with_decoding,
    );
}

fn per_signature(duty: &Duty, work: impl FnOnce()) -> f64 {
    let begin = cpu_time();
    work();
    let k = u32::try_from(duty.validators.len()).unwrap();
    (cpu_time() - begin).as_secs_f64() * 1e6 / f64::from(k)
}

/// What this thread has computed so far.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
