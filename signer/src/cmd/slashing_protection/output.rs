//! What the commands print: results on stdout, text or JSON; progress on stderr.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Files under this size are done before a progress bar is read.
const LARGE: u64 = 4 * 1024 * 1024;

/// Where no bar can be drawn, a line is printed each so many per cent.
const PERCENT_STEP: u64 = 10;

/// Prints results.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) const fn is_json(self) -> bool {
        self.json
    }

    /// A line of the result: `text` for people, `value` as JSON.
    pub(super) fn line(self, text: &impl Display, value: &impl Serialize) -> anyhow::Result<()> {
        if self.json { self.json_line(value) } else { self.text(text) }
    }

    /// A line that only people get.
    pub(super) fn text(self, text: &impl Display) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        writeln!(std::io::stdout(), "{text}").context("cannot write to stdout")
    }

    fn json_line(self, value: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(value)?;
        writeln!(std::io::stdout(), "{line}").context("cannot write to stdout")
    }
}

/// How far something long is: a bar on a terminal, lines elsewhere, nothing for what is short.
#[derive(Debug, Clone)]
pub(super) struct Bar {
    bar: ProgressBar,
    /// Lines are printed, under this name.
    lines: Option<&'static str>,
    printed: u64,
}

impl Bar {
    /// For something that takes as long as `bytes` do.
    pub(super) fn new(what: &'static str, bytes: u64) -> Self {
        let hidden = Self { bar: ProgressBar::hidden(), lines: None, printed: 0 };
        if bytes < LARGE {
            return hidden;
        }
        if !std::io::stderr().is_terminal() {
            return Self { lines: Some(what), ..hidden };
        }
        let bar = ProgressBar::new(1);
        if let Ok(style) =
            ProgressStyle::with_template("{msg:9} [{bar:40}] {percent:>3} %, {eta} left")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        Self { bar, ..hidden }
    }

    /// For something whose length is not known: counts bytes, on a terminal only.
    pub(super) fn counting(what: &'static str) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{msg} {bytes} {spinner}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, lines: None, printed: 0 }
    }

    /// How far it is.
    pub(super) fn at(&mut self, done: u64, total: u64) {
        self.bar.set_length(total.max(1));
        self.bar.set_position(done);
        let Some(what) = self.lines else { return };
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        if percent >= self.printed.saturating_add(PERCENT_STEP) {
            self.printed = percent - percent % PERCENT_STEP;
            eprintln!("{what}: {} %", self.printed);
        }
    }

    /// How many bytes there were, for [`Bar::counting`].
    pub(super) fn count(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
