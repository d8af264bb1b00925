//! The `synod` program.
fn main() {}
