#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slashing_db_fuzz::operations::run(input));
