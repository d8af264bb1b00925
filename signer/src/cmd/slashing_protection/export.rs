//! `synod slashing-protection export`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::database::{Database, Need};
use super::output::{Bar, Output};
use super::{PlaceArgs, ValidatorArgs};
use crate::control::wire::{ExportRequest, ExportTotals};
use crate::shutdown;

/// Options of `synod slashing-protection export`.
#[derive(Debug, clap::Args)]
pub(in crate::cmd) struct ExportArgs {
    /// The file to write, which must not exist; - for stdout.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,

    #[command(flatten)]
    validators: ValidatorArgs,

    /// One block and one attestation of each validator, with its highest numbers and without signing
    /// roots, instead of the whole history. Every client can import it; it says no less about what must not
    /// be signed again.
    #[arg(long)]
    minimal: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

/// What is printed with `--json`.
#[derive(Debug, Serialize)]
struct Exported<'a> {
    event: &'static str,
    file: &'a Path,
    #[serde(flatten)]
    totals: ExportTotals,
    /// The file is out of date as soon as the signer signs again.
    signer_running: bool,
}

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let to = &args.to;
    if to == Path::new("-") {
        let database = Database::open(&args.place, Need::Read)?;
        let (totals, running) = export(database, args, &mut io::stdout().lock())?;
        eprintln!("Exported {totals}.");
        warn(totals, running);
        return Ok(ExitCode::SUCCESS);
    }
    // Found early, and once more when the file gets its name.
    anyhow::ensure!(to.symlink_metadata().is_err(), "{}", exists(to));
    let mut file = Partial::beside(to)?;
    let database = Database::open(&args.place, Need::Read)?;
    let (totals, running) = export(database, args, &mut file.writer)?;
    file.keep(to)?;
    let text = format!("Exported {totals} to {}.", to.display());
    let value = Exported { event: "exported", file: to, totals, signer_running: running };
    Output::new(args.place.json).line(&text, &value)?;
    warn(totals, running);
    Ok(ExitCode::SUCCESS)
}

/// Writes the export; what it holds, and whether the signer runs.
fn export(
    database: Database,
    args: &ExportArgs,
    to: &mut dyn Write,
) -> anyhow::Result<(ExportTotals, bool)> {
    let request = ExportRequest { validators: args.validators.keys(), minimal: args.minimal };
    let bar = Bar::counting("exporting");
    let exported = match database {
        Database::Running(client) => client
            .export(&request, to, |bytes| bar.count(bytes))
            .map(|totals| (totals, true))
            .map_err(anyhow::Error::from),
        Database::Stopped(work) => {
            let mut to = Counted { to, bytes: 0, bar: &bar };
            work.exportable(&request)
                .and_then(|options| work.export(&mut to, &options, &mut |_| {}))
                .map(|totals| (totals, false))
                .map_err(anyhow::Error::from)
        }
    };
    bar.clear();
    exported.context("nothing is exported")
}

/// What the user has to know about the file.
fn warn(totals: ExportTotals, running: bool) {
    if totals.validators == 0 {
        eprintln!("The database has no record of any validator: the file protects none.");
    }
    if running {
        eprintln!(
            "Warning: the signer runs, and this file is out of date as soon as it signs again. Before keys \
             move to another signer, stop this one, export then, and never start it with these keys again: \
             two signers, or one with an old export, get validators slashed."
        );
    }
}

fn exists(to: &Path) -> String {
    format!("{} exists, and an export overwrites nothing: choose another name", to.display())
}

/// A file that gets its name when it is complete and on the disk, and goes otherwise.
struct Partial {
    /// Whether it has its name.
    named: Arc<Mutex<bool>>,
    writer: BufWriter<NamedTempFile>,
}

impl Partial {
    fn beside(to: &Path) -> anyhow::Result<Self> {
        let name =
            to.file_name().with_context(|| format!("{} is no name for a file", to.display()))?;
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        let directory = directory(to);
        anyhow::ensure!(
            directory.is_dir(),
            "cannot write to {}: there is no such directory",
            directory.display()
        );
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .tempfile_in(directory)
            .with_context(|| format!("cannot write to {}", directory.display()))?;
        let named = Arc::default();
        remove_if_interrupted(file.path().to_owned(), Arc::clone(&named));
        Ok(Self { named, writer: BufWriter::with_capacity(64 * 1024, file) })
    }

    fn keep(self, to: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", to.display());
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error);
        let file = file.with_context(cannot)?;
        file.as_file().sync_all().with_context(cannot)?;
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        match file.persist_noclobber(to) {
            Ok(_) => *named = true,
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                anyhow::bail!(exists(to))
            }
            Err(error) => return Err(error.error).with_context(cannot),
        }
        drop(named);
        File::open(directory(to)).and_then(|dir| dir.sync_all()).with_context(cannot)
    }
}

/// Where a file is to be.
fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Removes an unfinished file when Ctrl-C or SIGTERM ends the command, and ends it. One that has its name
/// is left to the command, which is as good as done.
fn remove_if_interrupted(path: PathBuf, named: Arc<Mutex<bool>>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        if runtime.block_on(shutdown::requested()).is_ok() {
            // Held to the end: it gets no name after this.
            let named = named.lock().unwrap_or_else(PoisonError::into_inner);
            if *named {
                return;
            }
            // It may not be there yet.
            let _ = std::fs::remove_file(&path);
            eprintln!("synod: interrupted; nothing is exported");
            std::process::exit(130);
        }
    });
}

/// Counts what is written for the progress bar.
struct Counted<'a> {
    to: &'a mut dyn Write,
    bytes: u64,
    bar: &'a Bar,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        self.bar.count(self.bytes);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
