//! `synod slashing-protection import`.

use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::PlaceArgs;
use super::database::{Database, Need};
use super::output::{Bar, Output};
use crate::control::wire::{ImportEvent, ImportTotals};

/// Options of `synod slashing-protection import`.
#[derive(Debug, clap::Args)]
pub(in crate::cmd) struct ImportArgs {
    /// The EIP-3076 interchange file (version 5); - for stdin.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    #[command(flatten)]
    place: PlaceArgs,
}

pub(super) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let (mut file, length) = open(&args.from)?;
    let output = Output::new(args.place.json);
    let mut steps = Steps { output, totals: None, failed: None };
    match Database::open(&args.place, Need::Import(&file))
        .with_context(|| not_imported(&args.from))?
    {
        Database::Stopped(work) => {
            let mut bar = Bar::new("importing", length);
            let imported =
                work.import(&mut file, &mut |progress| bar.at(progress.done, progress.total));
            bar.clear();
            let imported = imported.with_context(|| not_imported(&args.from))?;
            for line in imported.lines {
                steps.take(ImportEvent::Validator(line));
            }
            steps.take(ImportEvent::Done(imported.totals));
        }
        Database::Running(client) => {
            let sending = Bar::new("sending", length);
            let mut merging = Bar::new("importing", length);
            let sent = {
                let mut bar = sending.clone();
                move |bytes| {
                    bar.at(bytes, length);
                    if bytes >= length {
                        bar.clear();
                    }
                }
            };
            let heard = client.import(file, length, sent, |event| match event {
                ImportEvent::Progress { done, total } => merging.at(done, total),
                event => {
                    merging.clear();
                    steps.take(event);
                }
            });
            sending.clear();
            merging.clear();
            heard.with_context(|| not_imported(&args.from))?;
        }
    }
    steps.end(&args.from)
}

/// What is said and kept of the steps of an import.
struct Steps {
    output: Output,
    totals: Option<ImportTotals>,
    failed: Option<anyhow::Error>,
}

impl Steps {
    fn take(&mut self, event: ImportEvent) {
        let said = match &event {
            ImportEvent::Progress { .. } => Ok(()),
            ImportEvent::Validator(line) => self.output.line(line, &event),
            ImportEvent::Done(totals) => {
                self.totals = Some(*totals);
                self.output.line(totals, &event)
            }
            ImportEvent::Failed { error } => {
                self.failed = Some(anyhow::anyhow!("{error}"));
                Ok(())
            }
        };
        // What was imported stays so, though nobody reads about it.
        if let Err(error) = said {
            self.failed.get_or_insert(error);
        }
    }

    fn end(self, from: &Path) -> anyhow::Result<ExitCode> {
        if let Some(error) = self.failed {
            return Err(error.context(not_imported(from)));
        }
        let refused = self.totals.is_none_or(|totals| totals.refused > 0);
        Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn not_imported(from: &Path) -> String {
    format!("cannot import {}", from.display())
}

/// The file and its length; what cannot be read twice is copied to a temporary file without a name.
fn open(from: &Path) -> anyhow::Result<(File, u64)> {
    let cannot = || format!("cannot read {}", from.display());
    if from == Path::new("-") {
        return spool(&mut io::stdin().lock()).with_context(cannot);
    }
    let mut file = File::open(from).with_context(cannot)?;
    let metadata = file.metadata().with_context(cannot)?;
    anyhow::ensure!(!metadata.is_dir(), "cannot read {}: it is a directory", from.display());
    if metadata.is_file() {
        return Ok((file, metadata.len()));
    }
    spool(&mut file).with_context(cannot)
}

fn spool(from: &mut dyn io::Read) -> io::Result<(File, u64)> {
    let mut file = tempfile::tempfile()?;
    let length = io::copy(from, &mut file)?;
    file.rewind()?;
    Ok((file, length))
}
