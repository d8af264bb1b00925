//! How far loading is: a bar on a terminal, lines in the log elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is logged.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Counts keys as they are done with, from any thread.
#[derive(Debug)]
pub(super) struct Progress {
    total: usize,
    done: AtomicUsize,
    begun: Instant,
    last_line: Mutex<Instant>,
    /// `None` where stderr is no terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn begin(total: usize) -> Self {
        let now = Instant::now();
        let bar = (total > 0 && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(total as u64);
            let template = "loading keys {wide_bar} {pos} of {len}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self { total, done: AtomicUsize::new(0), begun: now, last_line: Mutex::new(now), bar }
    }

    /// One more is done with.
    pub(super) fn advance(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None => self.log(done),
        }
    }

    /// Keys done with, of how many.
    pub(super) fn figures(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.total)
    }

    /// Since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn log(&self, done: usize) {
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < LINE_EVERY {
            return;
        }
        *last = Instant::now();
        drop(last);
        let elapsed = self.elapsed().as_secs_f64();
        // Good for 2^52 keys.
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let left = elapsed / done as f64 * (self.total - done.min(self.total)) as f64;
        tracing::info!("loading keys: {done} of {} done, about {left:.0} s left", self.total);
    }
}
