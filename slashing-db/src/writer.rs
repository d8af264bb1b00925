//! The one thread that writes: takes all batches that wait into one commit, and does the background
//! work when none waits.
//!
//! * [`job`] is what it is asked to do, [`shared`] what the handles see of its state,
//! * [`background`] is what it does unasked, [`recovery`] what it does when the disk fails.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::Refusal;
use crate::identity::Identity;
use crate::lock::Lock;
use crate::options::Options;
use crate::permit::Permit;
use crate::record::{Request, Safe};
use crate::sidecar::{Progress, Sidecar};
use crate::store::prune::Pruner;
use crate::store::{Additions, Store};
use crate::writer::job::{Done, Job, Task, call};
use crate::writer::shared::Shared;

mod background;
pub(crate) mod job;
mod recovery;
pub(crate) mod shared;

/// Records of one commit: enough that a full queue is a few commits, few enough that the first of
/// them does not wait for many milliseconds.
const GROUP_BOUND: usize = 16_384;

/// Starts the writer. It ends when all senders of `queue` are gone, and closes the file then.
pub(crate) fn spawn(
    shared: Arc<Shared>,
    queue: Receiver<Job>,
    lock: Lock,
    sidecar: Option<Sidecar>,
    identity: Identity,
    options: &Options,
) -> std::io::Result<JoinHandle<()>> {
    let writer = Writer {
        shared,
        queue,
        _lock: lock,
        sidecar,
        identity,
        options: options.clone(),
        retry_at: None,
        acknowledged: None,
        pruner: Pruner::default(),
    };
    std::thread::Builder::new().name("slashing-db".to_owned()).spawn(move || {
        let _told = ToldOfPanic(Arc::clone(&writer.shared));
        writer.run();
    })
}

/// Without the writer nothing can be recorded any more: if it panics, everybody hears that.
struct ToldOfPanic(Arc<Shared>);

impl Drop for ToldOfPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "its writer thread panicked, which only a new start mends";
            let failure = self.0.stop_because(reason.to_owned());
            tracing::error!(%failure, "the slashing database has stopped for good");
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Job>,
    _lock: Lock,
    /// `None` if the database was not opened for signing.
    sidecar: Option<Sidecar>,
    identity: Identity,
    options: Options,
    /// After a failed commit: when to try again.
    retry_at: Option<Instant>,
    /// After a failed commit: how far the database had come with the last one that did not fail.
    acknowledged: Option<Progress>,
    pruner: Pruner,
}

impl Writer {
    fn run(mut self) {
        // Whether the last background step left another to do at once.
        let mut more = false;
        loop {
            let wait = if more { Duration::ZERO } else { self.options.quiet_after };
            match self.queue.recv_timeout(wait) {
                Ok(job) => {
                    self.serve(job);
                    self.keep_bounds();
                    more = false;
                }
                Err(RecvTimeoutError::Timeout) => more = self.rest(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let store = self.shared.store().take();
        if let Some(Err(error)) = store.map(Store::close) {
            tracing::warn!(%error, "the slashing database was not closed in order; nothing recorded is lost");
        }
    }

    /// Serves a job together with the batches that wait behind it.
    fn serve(&mut self, first: Job) {
        let mut batches = Vec::new();
        let mut records = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Record { batch, done } => {
                    records += batch.len();
                    batches.push((batch, done));
                }
                Job::Task(task) => {
                    self.record(std::mem::take(&mut batches));
                    self.run_task(task);
                    return;
                }
            }
            next = if records < GROUP_BOUND { self.queue.try_recv().ok() } else { None };
        }
        self.record(batches);
    }

    fn run_task(&mut self, task: Task) {
        let outcome = self.still_stopped().map_or(Ok(()), Err).and_then(|()| {
            let worked =
                self.shared.store().as_mut().map_or(Err(rusqlite::Error::InvalidQuery), |store| {
                    (task.work)(store, &self.shared)?;
                    if let Some(sidecar) = &mut self.sidecar {
                        note(sidecar, store);
                    }
                    Ok(())
                });
            worked.map_err(|error| self.fail(&error))
        });
        (task.done)(outcome);
    }

    /// Records batches in one transaction and answers them.
    fn record(&mut self, batches: Vec<(Vec<Request>, Done)>) {
        if batches.is_empty() {
            return;
        }
        if let Some(failure) = self.still_stopped() {
            for (_, done) in batches {
                call(done, Err(failure.clone().into()));
            }
            return;
        }
        let mut verdicts = Vec::with_capacity(batches.len());
        if let Err(error) = self.commit(&batches, &mut verdicts) {
            let failure = self.fail(&error);
            for (_, done) in batches {
                call(done, Err(failure.clone().into()));
            }
            return;
        }
        for ((batch, done), verdicts) in batches.into_iter().zip(verdicts) {
            let permits = batch
                .iter()
                .zip(verdicts)
                .map(|(request, verdict)| {
                    verdict.map(|_| {
                        Permit::recorded(request.validator, request.candidate.signing_root())
                    })
                })
                .collect();
            call(done, Ok(permits));
        }
    }

    /// Judges every request and makes the new ones durable.
    fn commit(
        &mut self,
        batches: &[(Vec<Request>, Done)],
        verdicts: &mut Vec<Vec<Result<Safe, Refusal>>>,
    ) -> rusqlite::Result<()> {
        let mut guard = self.shared.store();
        let store = guard.as_mut().ok_or(rusqlite::Error::InvalidQuery)?;
        let mut additions = Additions::default();
        let mut memory = self.shared.memory_mut();
        for (batch, _) in batches {
            let mut judged = Vec::with_capacity(batch.len());
            for request in batch {
                let known = memory.judge(&request.validator, &request.candidate);
                let verdict = match known {
                    Some(verdict) => verdict,
                    None => {
                        // Nobody who asks the memory waits for the disk. Only this thread changes it.
                        drop(memory);
                        let verdict = store.judge(&self.shared.memory(), request);
                        memory = self.shared.memory_mut();
                        verdict?
                    }
                };
                if matches!(verdict, Ok(Safe::New)) {
                    additions.note(&mut memory, request);
                }
                judged.push(verdict);
            }
            verdicts.push(judged);
        }
        let registrations = store.register(&mut memory, &mut additions);
        // Readers go on while the disk works. What they see is ahead of it: the safe direction.
        drop(memory);
        store.append(&mut additions, registrations)?;
        if let Some(sidecar) = &mut self.sidecar {
            note(sidecar, store);
        }
        Ok(())
    }
}

/// Notes how far the database has come. Without it the commit stands; only its loss might not be
/// noticed later.
fn note(sidecar: &mut Sidecar, store: &Store) {
    if let Err(error) = sidecar.note(&store.progress()) {
        tracing::warn!(%error, "the slashing database's progress file could not be written");
    }
}

#[cfg(test)]
mod tests {
    use crate::{Identity, Options, SlashingDb};

    #[test]
    fn a_panic_of_the_writer_stops_signing_for_all_to_see() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity {
            genesis_validators_root: eth_types::Root::ZERO,
            network: "x".to_owned(),
            cluster_lock_hash: None,
        };
        let path = directory.path().join("db");
        let db = SlashingDb::open(&path, &identity, Options::default()).unwrap();
        assert!(db.is_running());
        let ended = db.run(|_, _| -> rusqlite::Result<()> { panic!("as the test wants") });
        assert!(ended.is_err());
        while db.is_running() {
            std::thread::yield_now();
        }
        let failure = db.health().unwrap_err();
        assert!(failure.reason.contains("panicked"), "{failure}");
    }
}
