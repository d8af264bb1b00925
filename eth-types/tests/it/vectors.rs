//! Finds the vectors that lie beside the checkout.

use std::fs;
use std::path::PathBuf;

/// The text of a file under `../shared/vectors`, seen from the workspace root; `None`, with a line that
/// says so, where the folder is absent.
pub(crate) fn read(path: &str) -> Option<String> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent()?.to_owned();
    let file = workspace.join("../shared/vectors").join(path);
    let text = fs::read_to_string(&file).ok();
    if text.is_none() {
        println!("SKIPPED: {} is not there", file.display());
    }
    text
}
