//! What the fuzz targets do with their input. The database's own tests include `interchange` and
//! `operations` too, and run them over the seeds and a few random inputs.
#![expect(dead_code, reason = "the files shared with the tests have more than is needed here")]

pub mod interchange;
pub mod operations;

#[path = "../../tests/it/common.rs"]
mod common;
#[path = "../../tests/it/model.rs"]
mod model;
