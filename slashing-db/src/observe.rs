//! What a caller can measure of recording, without a hand in it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::record::{Candidate, Request};

/// A batch that was answered, recorded or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Blocks in it.
    pub blocks: usize,
    /// Attestations in it.
    pub attestations: usize,
    /// From the call to the answer: waiting for the commit before it, judging, writing, syncing.
    pub took: Duration,
}

/// Is told of each batch.
#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Fn(Answered) + Send + Sync>);

impl Observer {
    pub(crate) fn new(told: impl Fn(Answered) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    /// Starts the clock for a batch; to be called when it is answered.
    pub(crate) fn watch(&self, batch: &[Request]) -> impl FnOnce() + Send + use<> {
        let (told, begun) = (Arc::clone(&self.0), Instant::now());
        let is_block = |request: &&Request| matches!(request.candidate, Candidate::Block { .. });
        let blocks = batch.iter().filter(is_block).count();
        let attestations = batch.len() - blocks;
        move || told(Answered { blocks, attestations, took: begun.elapsed() })
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
