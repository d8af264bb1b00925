//! Parts of exits and deposits, kept across restarts until enough operators have asked: one JSON
//! object a line, appended and synced.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use eth_types::Signature;
use eth_types::duty::{Duty, DutyError};
use eth_types::network::Network;
use serde::{Deserialize, Serialize};
use threshold_protocol::bls::PartialSignature;
use threshold_protocol::message::Witness;
use threshold_protocol::{KeyIndex, OperatorIndex};

/// Why the file is unusable.
#[derive(Debug, thiserror::Error)]
pub enum WitnessFileError {
    /// It cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is no record. A last line that was cut off by a crash is no such line: it is dropped.
    #[error("{} line {line} is no record of a witnessed duty; move the file away to start without", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: Box<LineError>,
    },
}

/// Why a line is no record.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not the expected JSON.
    #[error("unexpected content")]
    Json(#[from] serde_json::Error),
    /// Not hexadecimal.
    #[error("not hexadecimal")]
    Hex(#[from] hex::FromHexError),
    /// A duty of another network.
    #[error("unusable duty")]
    Duty(#[from] DutyError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    operator: u8,
    validator: u32,
    duty: String,
    partial: Signature,
}

/// The open file.
#[derive(Debug)]
pub struct WitnessFile {
    path: PathBuf,
    file: File,
    /// Length of the whole records, in bytes.
    whole: u64,
}

/// What the file held: each operator's parts.
pub type Kept = Vec<(OperatorIndex, Witness)>;

impl WitnessFile {
    /// Opens the file, or makes it for its owner alone, and reads what it holds.
    ///
    /// # Errors
    /// It cannot be read, or holds something else.
    pub fn open(path: &Path, network: &Network) -> Result<(Self, Kept), WitnessFileError> {
        let io = |source| WitnessFileError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(path).map_err(io)?;
        let mut kept = Vec::new();
        let mut whole = 0;
        let mut reader = BufReader::new(&file);
        let mut text = String::new();
        for line in 1.. {
            text.clear();
            if reader.read_line(&mut text).map_err(io)? == 0 || !text.ends_with('\n') {
                break;
            }
            whole += text.len() as u64;
            let record = parse(&text, network).map_err(|source| WitnessFileError::Line {
                path: path.to_owned(),
                line,
                source: Box::new(source),
            })?;
            kept.push(record);
        }
        // What a crash cut off was never acted upon: it is sent only after it is kept.
        file.set_len(whole).map_err(io)?;
        file.sync_all().map_err(io)?;
        Ok((Self { path: path.to_owned(), file, whole }, kept))
    }

    /// Appends a part and waits until it is durable.
    ///
    /// # Errors
    /// It could not be written.
    pub fn keep(
        &mut self,
        operator: OperatorIndex,
        witness: &Witness,
    ) -> Result<(), WitnessFileError> {
        let record = Record {
            operator: operator.get(),
            validator: witness.validator.get(),
            duty: hex::encode(witness.duty.encode()),
            partial: Signature::new(*witness.partial.as_bytes()),
        };
        let io = |source| WitnessFileError::Io { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(&record).map_err(|error| io(error.into()))?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line would spoil the next one, and the next start with it.
            if let Err(cut) = self.file.set_len(self.whole) {
                tracing::error!(file = %self.path.display(), %cut, "cannot cut off half a record");
            }
            return Err(io(error));
        }
        self.whole = self.whole.saturating_add(line.len() as u64);
        Ok(())
    }
}

fn parse(text: &str, network: &Network) -> Result<(OperatorIndex, Witness), LineError> {
    let record: Record = serde_json::from_str(text)?;
    let duty = Duty::decode(&hex::decode(&record.duty)?, network)?;
    let witness = Witness {
        validator: KeyIndex::new(record.validator),
        duty,
        partial: PartialSignature::new(*record.partial.as_bytes()),
    };
    Ok((OperatorIndex::new(record.operator), witness))
}
