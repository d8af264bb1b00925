//! Putting a finished cluster on disk: all of it or nothing, and nothing overwritten.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;
use rayon::prelude::*;
use threshold_protocol::bls::{SecretKey, SecretShare};

use super::deal::Deal;
use super::plan::ClusterParams;
use super::{DealerError, Reporter, Step};
use crate::cluster_file::{DEFINITION_FILE, LOCK_FILE, deposit_files};
use crate::data_dir::{VALIDATOR_KEYS_DIR, files, keystore_files};
use crate::enr::ENR_KEY_FILES;
use crate::keystore::{KdfCost, Keystore, Password, SHARE_PATH, write_files};

/// For the owner only: the directory holds secrets.
const DIR_MODE: u32 = 0o700;
/// Files that everybody may read and nobody should change.
const PUBLIC_FILE_MODE: u32 = 0o444;

/// The directory of a node.
pub(super) fn node_dir(cluster_dir: &Path, node: usize) -> PathBuf {
    cluster_dir.join(format!("node{node}"))
}

/// Refuses if a node's directory exists. Asked first, before keys are made, and again by the renames.
pub(super) fn check_free(params: &ClusterParams) -> Result<(), DealerError> {
    for node in 0..usize::from(params.nodes) {
        let path = node_dir(&params.cluster_dir, node);
        match fs::symlink_metadata(&path) {
            Ok(_) => return Err(DealerError::Exists { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DealerError::Write { path, source }),
        }
    }
    Ok(())
}

/// Writes every node's directory under a temporary name, waits until all is on disk, and gives the
/// directories their names.
pub(super) fn write(
    params: &ClusterParams,
    deal: &Deal,
    report: &Reporter<'_>,
) -> Result<Vec<PathBuf>, DealerError> {
    let staging = Staging::create(&params.cluster_dir)?;
    let nodes = deal.identities.len();
    for node in 0..nodes {
        create_dir(&node_dir(&staging.path, node))?;
        create_dir(&node_dir(&staging.path, node).join(VALIDATOR_KEYS_DIR))?;
    }
    write_node_files(params, deal, &staging.path)?;
    write_keystores(params, deal, &staging.path, report)?;
    for node in 0..nodes {
        let dir = node_dir(&staging.path, node);
        for path in [dir.join(VALIDATOR_KEYS_DIR), dir] {
            files::sync_dir(&path).map_err(|source| DealerError::Write { path, source })?;
        }
    }
    staging.publish(nodes)
}

fn write_node_files(
    params: &ClusterParams,
    deal: &Deal,
    staging: &Path,
) -> Result<(), DealerError> {
    let deposits: Vec<_> = deal
        .lock
        .distributed_validators
        .iter()
        .flat_map(|validator| &validator.partial_deposit_data)
        .copied()
        .collect();
    let mut public = vec![
        (DEFINITION_FILE.to_owned(), deal.lock.cluster_definition.to_json()?),
        (LOCK_FILE.to_owned(), deal.lock.to_json()?),
    ];
    public.extend(
        deposit_files(&deposits, &params.network)?.into_iter().map(|file| (file.name, file.json)),
    );
    let [enr_key_file, _] = ENR_KEY_FILES;
    for (node, identity) in deal.identities.iter().enumerate() {
        let dir = node_dir(staging, node);
        identity.save_new(&dir.join(enr_key_file))?;
        for (name, text) in &public {
            let path = dir.join(name);
            files::write_new(&path, text.as_bytes(), PUBLIC_FILE_MODE)
                .map_err(|source| DealerError::Write { path, source })?;
        }
    }
    Ok(())
}

fn write_keystores(
    params: &ClusterParams,
    deal: &Deal,
    staging: &Path,
    report: &Reporter<'_>,
) -> Result<(), DealerError> {
    let cost = if params.insecure_keys { KdfCost::INSECURE } else { KdfCost::SHARE };
    let all: Vec<(usize, usize, &SecretShare)> = deal
        .shares
        .iter()
        .enumerate()
        .flat_map(|(validator, shares)| {
            shares.iter().enumerate().map(move |(node, share)| (validator, node, share))
        })
        .collect();
    let step = report.step(Step::WriteKeystores, all.len());
    all.par_iter().try_for_each(|(validator, node, share)| {
        let dir = node_dir(staging, *node).join(VALIDATOR_KEYS_DIR);
        write_share(share, &dir, *validator, cost)?;
        step.done();
        Ok(())
    })
}

fn write_share(
    share: &SecretShare,
    dir: &Path,
    validator: usize,
    cost: KdfCost,
) -> Result<(), DealerError> {
    let secret = SecretKey::from_bytes(&share.to_bytes())?;
    let password = Password::generate().map_err(DealerError::Randomness)?;
    let keystore = Keystore::encrypt(&secret, &password, cost, SHARE_PATH)?;
    let (path, password_path) = keystore_files(dir, validator);
    Ok(write_files(&keystore, &password, &path, &password_path)?)
}

/// A directory beside the final ones, removed with all that is in it unless it was published.
struct Staging {
    path: PathBuf,
    cluster_dir: PathBuf,
    /// Whether the cluster directory was there before.
    existed: bool,
}

impl Staging {
    fn create(cluster_dir: &Path) -> Result<Self, DealerError> {
        let existed = cluster_dir.is_dir();
        fs::create_dir_all(cluster_dir)
            .map_err(|source| DealerError::Write { path: cluster_dir.to_owned(), source })?;
        let suffix = SysRng.try_next_u32().map_err(DealerError::Randomness)?;
        let path = cluster_dir.join(format!(".synod-unfinished-{suffix:08x}"));
        create_dir(&path)?;
        Ok(Self { path, cluster_dir: cluster_dir.to_owned(), existed })
    }

    /// Gives the nodes' directories their names; if one cannot have it, none has.
    fn publish(self, nodes: usize) -> Result<Vec<PathBuf>, DealerError> {
        let mut published: Vec<PathBuf> = Vec::with_capacity(nodes);
        for node in 0..nodes {
            let (from, to) = (node_dir(&self.path, node), node_dir(&self.cluster_dir, node));
            // A rename would replace an empty directory.
            let renamed = match fs::symlink_metadata(&to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(&from, &to),
            };
            if let Err(source) = renamed {
                for (node, path) in published.iter().enumerate() {
                    if let Err(error) = fs::rename(path, node_dir(&self.path, node)) {
                        tracing::error!(%error, path = %path.display(), "cannot take back");
                    }
                }
                return Err(DealerError::Write { path: to, source });
            }
            published.push(to);
        }
        let sync = |path: &Path| {
            files::sync_dir(path)
                .map_err(|source| DealerError::Write { path: path.to_owned(), source })
        };
        sync(&self.cluster_dir)?;
        if !self.existed {
            let parent = self.cluster_dir.parent().filter(|path| !path.as_os_str().is_empty());
            sync(parent.unwrap_or_else(|| Path::new(".")))?;
        }
        Ok(published)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::error!(
                %error,
                path = %self.path.display(),
                "cannot remove an unfinished cluster: it holds key shares, remove it by hand"
            );
        }
        if !self.existed {
            // Fails, as it should, if the nodes are in it.
            let _ = fs::remove_dir(&self.cluster_dir);
        }
    }
}

fn create_dir(path: &Path) -> Result<(), DealerError> {
    files::create_dir_new(path, DIR_MODE)
        .map_err(|source| DealerError::Write { path: path.to_owned(), source })
}
