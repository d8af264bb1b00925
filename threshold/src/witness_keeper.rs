//! Keeps witnessed duties on a thread of its own: each is synced to disk, and the node's task must not
//! wait for that.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::JoinHandle;

use eth_types::Root;
use threshold_protocol::message::{PeerMessage, Witness};
use threshold_protocol::{KeyIndex, OperatorIndex};

use crate::witness_file::{Kept, WitnessFile};

/// Parts that wait for the disk. An operator asks for a few exits in a year; what exceeds this comes
/// from a peer that sends far too many, and peers send theirs again on the next connection.
const QUEUE: usize = 1024;

/// Sends a part to the peers once it is kept.
type Tell = Box<dyn Fn(&PeerMessage) + Send>;

/// The running thread. It finishes what waits when this is dropped.
pub(crate) struct WitnessKeeper {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    operator: OperatorIndex,
    witness: Witness,
    tell: bool,
}

impl WitnessKeeper {
    /// Starts the thread. `kept` is what the file holds already; `tell` sends to the peers.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(file: WitnessFile, kept: &Kept, tell: Tell) -> std::io::Result<Self> {
        let known = kept.iter().map(|(operator, witness)| name(*operator, witness)).collect();
        let (jobs, received) = mpsc::sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("synod-witness".to_owned())
            .spawn(move || run(file, known, &received, &tell))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Keeps a part, if it is not kept already, and tells the peers afterwards if asked to.
    pub(crate) fn keep(&self, operator: OperatorIndex, witness: Witness, tell: bool) {
        let Some(jobs) = &self.jobs else { return };
        match jobs.try_send(Job { operator, witness, tell }) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => tracing::error!(
                operator = %job.operator,
                "more than {QUEUE} witnessed duties wait for the disk: one is not kept, and the connected \
                 peers are not told; ask for it again"
            ),
            Err(TrySendError::Disconnected(_)) => {
                tracing::error!("the thread that keeps witnessed duties has ended");
            }
        }
    }
}

impl Drop for WitnessKeeper {
    fn drop(&mut self) {
        // With the sender gone the thread finishes what waits.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that keeps witnessed duties panicked");
        }
    }
}

type Name = (OperatorIndex, KeyIndex, Root);

fn name(operator: OperatorIndex, witness: &Witness) -> Name {
    (operator, witness.validator, witness.duty.signing_root())
}

fn run(mut file: WitnessFile, mut known: BTreeSet<Name>, jobs: &Receiver<Job>, tell: &Tell) {
    for Job { operator, witness, tell: wanted } in jobs {
        let name = name(operator, &witness);
        if !known.contains(&name) {
            if let Err(error) = file.keep(operator, &witness) {
                let reason = &error as &(dyn std::error::Error + 'static);
                tracing::error!(
                    reason,
                    %operator,
                    "a witnessed duty is not kept, so the connected peers are not told; ask for it again"
                );
                continue;
            }
            known.insert(name);
        }
        if wanted {
            tell(&PeerMessage::Witness(witness));
        }
    }
}
