//! The program as processes: run to its end, or running with its log read along.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::{PATIENCE, POLL, scratch_dir};

/// The program under test.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
}

/// How a process ended, and what it wrote.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Program {
    /// The program at `path`.
    #[must_use]
    pub fn at(path: &str) -> Self {
        Self { path: path.into() }
    }

    /// A command without the environment's options for the program.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if ["SYNOD_", "WEB3SIGNER_"].iter().any(|prefix| name_text.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        // The demo makes its folder there.
        command.stdin(Stdio::null()).env("TMPDIR", scratch_dir());
        command
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// It does not start, or does not end within [`PATIENCE`].
    #[must_use]
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        let mut command = self.command();
        command.args(args);
        run(command)
    }

    /// Starts the program and reads its stderr along.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Process {
        let mut command = self.command();
        command.args(args).stdout(Stdio::null());
        Process::start(command)
    }
}

/// Runs a command to its end.
///
/// # Panics
/// It does not start, or does not end within [`PATIENCE`].
#[must_use]
pub fn run(mut command: Command) -> Finished {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stdout_reader) = Log::read(child.stdout.take().unwrap());
    let (log, reader) = Log::read(child.stderr.take().unwrap());
    let mut process = Process { child, log, reader: Some(reader) };
    let status = process.wait();
    stdout_reader.join().unwrap();
    Finished { code: status.code(), stdout: stdout.text(), stderr: process.log() }
}

/// A running process. It is killed when this is dropped; if that happens because a test fails, its log is
/// shown.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Log,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a command and reads its stderr along.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (log, reader) = Log::read(child.stderr.take().unwrap());
        Self { child, log, reader: Some(reader) }
    }

    /// Its number in the system.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a line of stderr in which `found` finds something.
    ///
    /// # Panics
    /// There is none within [`PATIENCE`], or the process ended without one.
    pub async fn logged<T>(&mut self, found: impl Fn(&str) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            if let Some(status) = ended {
                // What it wrote last may not have been read yet.
                self.finish_log();
                if let Some(value) = self.log.find(&found) {
                    return value;
                }
                panic!("the process ended with {status} before it logged what was waited for");
            }
            if let Some(value) = self.log.find(&found) {
                return value;
            }
            assert!(begun.elapsed() < PATIENCE, "what was waited for is not logged");
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGKILL: it gets no chance to finish anything.
    ///
    /// # Panics
    /// It cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.finish_log();
    }

    /// SIGHUP: asks it to read its files anew.
    ///
    /// # Panics
    /// It is gone already.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGTERM: asks it to stop.
    ///
    /// # Panics
    /// It is gone already.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end within [`PATIENCE`].
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.finish_log();
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the process does not end");
            std::thread::sleep(POLL);
        }
    }

    /// The reader ends with the process.
    fn finish_log(&mut self) {
        if let Some(reader) = self.reader.take() {
            // It only reads.
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.finish_log();
        if std::thread::panicking() {
            eprintln!("--- log of process {} ---\n{}---", self.child.id(), self.log());
        }
    }
}

/// What a process has written, line by line.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    /// Reads to the end on a thread of its own.
    fn read(from: impl std::io::Read + Send + 'static) -> (Self, JoinHandle<()>) {
        let log = Self::default();
        let written = log.clone();
        let reader = std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let mut text = written.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        (log, reader)
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn find<T>(&self, found: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.text().lines().find_map(found)
    }
}
