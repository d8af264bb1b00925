//! `synod create enr`.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::process::ExitCode;

use anyhow::Context;
use threshold::enr::{ENR_KEY_FILES, Identity};

use crate::config::DataArgs;

/// Options of `synod create enr`.
#[derive(Debug, clap::Args)]
pub(super) struct CreateEnrArgs {
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn run(args: &CreateEnrArgs) -> anyhow::Result<ExitCode> {
    let dir = &args.data.data_dir;
    if let Some(path) = ENR_KEY_FILES.iter().map(|name| dir.join(name)).find(|path| path.exists()) {
        anyhow::bail!(
            "{} exists: this directory has an identity already, and a lost one cannot be made again",
            path.display()
        );
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    let identity = Identity::generate()?;
    let [name, ..] = ENR_KEY_FILES;
    let path = dir.join(name);
    identity.save_new(&path)?;
    println!("Created ENR private key: {}", path.display());
    println!("{}", identity.enr().as_str());
    println!(
        "Keep a copy of the private key: without it this operator's place in a cluster is lost."
    );
    Ok(ExitCode::SUCCESS)
}
