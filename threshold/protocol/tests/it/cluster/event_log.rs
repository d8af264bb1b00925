//! What happened in a simulation, in order. It is written to a file if the test panics.

use std::fmt;
use std::fmt::Write as _;
use std::path::PathBuf;

use threshold_protocol::OperatorIndex;
use threshold_protocol::message::PeerMessage;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A message arrived.
    Arrived {
        /// From whom.
        from: OperatorIndex,
        /// At whose node.
        to: OperatorIndex,
        /// What it says.
        message: Box<PeerMessage>,
    },
    /// Anything else, in words.
    Other(String),
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrived { from, to, message } => write!(f, "{from} -> {to}: {message:?}"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// All that happened. Nothing is formatted unless it is needed.
#[derive(Debug)]
pub(crate) struct EventLog {
    name: String,
    /// The time that is shown as 0.
    zero: u64,
    happenings: Vec<(u64, Happening)>,
}

impl EventLog {
    /// A log of a test's name; times are shown from `zero` on.
    pub(crate) fn new(name: &str, zero: u64) -> Self {
        Self { name: name.to_owned(), zero, happenings: Vec::new() }
    }

    pub(crate) fn add(&mut self, now: u64, happening: Happening) {
        self.happenings.push((now, happening));
    }

    fn path(&self) -> PathBuf {
        let name = format!("{}.log", self.name.replace([' ', '/', ':'], "-"));
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
    }

    fn write(&self) {
        let mut text = String::new();
        for (time, happening) in &self.happenings {
            let millis = time.cast_signed() - self.zero.cast_signed();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{millis:>8} {happening}");
        }
        let path = self.path();
        match std::fs::write(&path, text) {
            Ok(()) => eprintln!("what happened: {}", path.display()),
            Err(error) => eprintln!("what happened cannot be kept in {}: {error}", path.display()),
        }
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.write();
        }
    }
}
