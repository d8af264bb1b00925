//! Any bytes as an interchange file: they are refused or taken, and what was taken comes out again.

use std::io::Cursor;

use crate::common::{Place, content, export, identity, import};

/// Imports the input into an empty database. If it was taken, the export is importable wherever the
/// input was, and says the same again.
///
/// Input that begins with `[` stands for a file's `data`, so that no luck is needed with the head.
pub fn run(input: &[u8]) {
    let whole;
    let input = if input.first() == Some(&b'[') {
        whole = [head().as_bytes(), input, b"}"].concat();
        &whole
    } else {
        input
    };
    let place = Place::new();
    let db = place.open();
    let Ok(report) = db.import(&mut Cursor::new(input), &|key| Some(*key), &mut |_| {}) else {
        return;
    };
    let first = export(&db);
    let taken = report.validators.len() - report.refused();
    assert!(content(&first).len() <= taken);

    let other = Place::new();
    let copy = other.open();
    let report = import(&copy, &first).unwrap();
    assert_eq!(report.refused(), 0, "{first}");
    let second = export(&copy);
    assert_eq!(content(&first), content(&second));

    // Files are read from the disk again as they were written.
    copy.close();
    assert_eq!(content(&first), content(&export(&other.open())));
}

fn head() -> String {
    format!(
        r#"{{"metadata": {{"interchange_format_version": "5", "genesis_validators_root": "{}"}}, "data": "#,
        identity().genesis_validators_root
    )
}
