//! The demo's table.

/// One check.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) node: String,
    pub(super) url: String,
    pub(super) duty: String,
    pub(super) good: bool,
    pub(super) result: String,
    pub(super) millis: f64,
}

/// Prints the checks, aligned.
pub(super) fn print(rows: &[Row]) {
    let width = |column: fn(&Row) -> &str, head: &str| {
        rows.iter().map(|row| column(row).len()).chain([head.len()]).max().unwrap_or(0)
    };
    let url = width(|row| &row.url, "URL");
    let duty = width(|row| &row.duty, "duty");
    let result = width(|row| &row.result, "result");
    println!("\nnode  {:url$}  {:duty$}  {:result$}      time", "URL", "duty", "result");
    for row in rows {
        let mark = if row.good { "ok" } else { "FAILED" };
        println!(
            "{:<4}  {:url$}  {:duty$}  {:result$}  {:>5.1} ms  {mark}",
            row.node, row.url, row.duty, row.result, row.millis
        );
    }
    println!();
}
