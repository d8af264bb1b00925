//! The bodies of the fuzz targets, over their seeds and a few random inputs: so that they go on working,
//! and without the fuzzer's tools.

use std::fs;
use std::path::Path;

use crate::child::Random;

#[expect(unreachable_pub, reason = "it is public in the fuzz targets' crate")]
#[path = "../../fuzz/src/interchange.rs"]
mod interchange;
#[expect(unreachable_pub, reason = "it is public in the fuzz targets' crate")]
#[path = "../../fuzz/src/operations.rs"]
mod operations;

/// The seeds of a target, in a fixed order.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn byte(random: &mut Random) -> u8 {
    u8::try_from(random.below(256)).unwrap()
}

#[test]
fn files_that_almost_are_interchange_files_are_refused_or_come_out_as_they_went_in() {
    let mut random = Random(5);
    for seed in seeds("interchange") {
        interchange::run(&seed);
        for _ in 0..30 {
            let mut input = seed.clone();
            for _ in 0..=random.below(4) {
                // At the end only something can be added.
                let at = usize::try_from(random.below(input.len() as u64 + 1)).unwrap();
                match random.below(3) {
                    0 if at < input.len() => input[at] = byte(&mut random),
                    1 if at < input.len() => drop(input.remove(at)),
                    _ => input.insert(at, b"0123456789\",{}[]"[at % 16]),
                }
            }
            interchange::run(&input);
        }
    }
}

#[test]
fn random_operations_leave_the_database_and_the_model_alike() {
    let mut random = Random(3);
    for seed in seeds("operations") {
        operations::run(&seed);
    }
    for _ in 0..20 {
        let input: Vec<_> = (0..400).map(|_| byte(&mut random)).collect();
        operations::run(&input);
    }
}
