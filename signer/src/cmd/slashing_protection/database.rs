//! The database of a command: the signer's, if one runs with the data directory, or the file.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use eth_types::network::Network;
use slashing_db::interchange::check_file;
use slashing_db::{Access, Identity, OpenError, Options, SlashingDb};
use threshold::cluster_file::{ClusterLock, LOCK_FILE, VerifiedLock, WalletSignatures};

use super::PlaceArgs;
use crate::assemble::{SLASHING_DB_FILE, network_of};
use crate::config::NetworkArgsError;
use crate::control::client::ControlClient;
use crate::control::expected::{Chain, Expected, Lock};
use crate::control::keys::KeyMap;
use crate::control::socket::SOCKET_FILE;
use crate::control::work::Maintenance;

/// Who does the work.
#[derive(Debug)]
pub(super) enum Database {
    /// The signer that runs with the data directory.
    Running(Box<ControlClient>),
    /// This command: the file is open until this is dropped.
    Stopped(Maintenance),
}

/// What the command needs of a database.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need<'a> {
    /// One to put records into: it is made if there is none.
    Fill,
    /// One to import a file into: it is made if there is none and the file is for its chain.
    Import(&'a File),
    /// One that is there.
    Read,
}

impl Database {
    /// Reaches the signer, or opens the file. Says on stderr which it is.
    pub(super) fn open(place: &PlaceArgs, need: Need<'_>) -> anyhow::Result<Self> {
        let data_dir = &place.data.data_dir;
        if let Some(client) = ControlClient::connect(data_dir)? {
            return Self::running(client, place);
        }
        match open_file(place, need) {
            Ok(work) => Ok(Self::Stopped(work)),
            Err(error) => match error.downcast_ref() {
                Some(OpenError::InUse { path, holder }) => {
                    // A signer that was starting may listen by now.
                    if let Some(client) = ControlClient::connect(data_dir)? {
                        return Self::running(client, place);
                    }
                    anyhow::bail!(
                        "slashing database {} is in use by {holder}, and nobody answers at {}: stop that \
                         process, or try again if it is just starting or stopping",
                        path.display(),
                        data_dir.join(SOCKET_FILE).display()
                    )
                }
                _ => Err(error),
            },
        }
    }

    fn running(client: ControlClient, place: &PlaceArgs) -> anyhow::Result<Self> {
        let expected = expected(place)?;
        eprintln!(
            "Through the signer that runs with {} (process {}).",
            place.data.data_dir.display(),
            client.pid()
        );
        Ok(Self::Running(Box::new(client.expecting(expected))))
    }
}

fn open_file(place: &PlaceArgs, need: Need<'_>) -> anyhow::Result<Maintenance> {
    let data_dir = &place.data.data_dir;
    let path = data_dir.join(SLASHING_DB_FILE);
    check_owner(data_dir, &path)?;
    let stored = Identity::stored(&path)?;
    if stored.is_none() && matches!(need, Need::Read) {
        anyhow::bail!(no_database(data_dir, &path)?);
    }
    let lock = read_lock(place)?;
    let network = network(place)?;
    let is_new = stored.is_none();
    let identity = identity(data_dir, lock.as_ref(), network.as_ref(), stored)?;
    let keys = match &lock {
        Some(lock) => KeyMap::of_lock(lock),
        None if identity.cluster_lock_hash.is_some() && !matches!(need, Need::Read) => {
            anyhow::bail!(
                "slashing database {} is a cluster's, and {} is not there: only the lock tells which keys are \
             the cluster's; put it back, or name it with --lock-file",
                path.display(),
                data_dir.join(LOCK_FILE).display()
            )
        }
        None => KeyMap::any(),
    };
    if is_new {
        if let Need::Import(mut file) = need {
            check_file(&mut file, identity.genesis_validators_root)?;
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .with_context(|| format!("cannot make {}", data_dir.display()))?;
        eprintln!("Making slashing database {} for {identity}.", path.display());
    } else {
        eprintln!("No signer runs with {}: using the file.", data_dir.display());
    }
    let options = Options {
        access: Access::Maintain,
        // A signer will refuse all the same; records may be put in before that.
        accept_restored: true,
        pruning: None,
        ..Options::default()
    };
    let db = SlashingDb::open(&path, &identity, options)?;
    if let Some(what) = db.looks_restored() {
        eprintln!(
            "Warning: this database looks restored from an older copy or made anew: {what}. It may lack what \
             was signed last. A signer refuses it: import the newest export there is, or wait two epochs, \
             then start the signer once with --accept-restored-database."
        );
    }
    Ok(Maintenance::new(db, keys))
}

/// Why there is nothing to read, and what to do.
fn no_database(data_dir: &Path, path: &Path) -> anyhow::Result<String> {
    let nothing = format!("there is no slashing database in {}", data_dir.display());
    Ok(match Identity::missed(path)? {
        Some(what) => format!(
            "{nothing} any more: {what}. Sign nothing with its keys until it is back, or its last backup and \
             the newest export are in its place (docs/slashing-protection.md, \"A lost or restored \
             database\")"
        ),
        None if path.exists() => format!(
            "{nothing}: {SLASHING_DB_FILE} is empty, and no file beside it tells that it ever was not; if this \
             directory was in use, put its last backup in its place and import the newest export \
             (docs/slashing-protection.md, \"A lost or restored database\")"
        ),
        None => format!(
            "{nothing}: no {SLASHING_DB_FILE}, and no trace of one that was in use here; is this the right \
             --data-dir?"
        ),
    })
}

/// Whose records the database holds, or is to hold.
fn identity(
    data_dir: &Path,
    lock: Option<&VerifiedLock>,
    network: Option<&Network>,
    stored: Option<Identity>,
) -> anyhow::Result<Identity> {
    let lock_hash = lock.map(VerifiedLock::lock_hash);
    match (stored, lock, network) {
        // The network of a lock may not be built in; the database knows it.
        (Some(stored), _, None) if lock.is_none() || stored.cluster_lock_hash == lock_hash => {
            Ok(stored)
        }
        (_, Some(lock), network) => {
            Ok(of_network(&network_of(lock, network)?, Some(lock.lock_hash())))
        }
        (Some(stored), None, Some(network)) => Ok(of_network(network, stored.cluster_lock_hash)),
        (None, None, Some(network)) => Ok(of_network(network, None)),
        (_, None, None) => anyhow::bail!(
            "{} holds neither a slashing database nor {LOCK_FILE}, so the chain is not known: give \
             --network, or another --data-dir",
            data_dir.display()
        ),
    }
}

fn of_network(network: &Network, cluster_lock_hash: Option<eth_types::Root>) -> Identity {
    Identity {
        genesis_validators_root: network.genesis_validators_root(),
        network: network.name().to_owned(),
        cluster_lock_hash,
    }
}

/// Which signer the command is for, as far as it was told.
fn expected(place: &PlaceArgs) -> anyhow::Result<Expected> {
    let chain = network(place)?.as_ref().map(Chain::from);
    let lock = match load_lock(place)? {
        None => None,
        Some((path, lock)) => {
            // The signer has checked the rest, if it is the same.
            lock.verify_hashes().with_context(|| refused(&path))?;
            Some(Lock { hash: lock.lock_hash, chain: lock.network().as_ref().map(Chain::from) })
        }
    };
    Ok(Expected { chain, lock })
}

/// The network of the options. Nothing here looks at the clock, so a file needs no genesis time beside it.
fn network(place: &PlaceArgs) -> Result<Option<Network>, NetworkArgsError> {
    let mut args = place.network.clone();
    if args.is_file() {
        args.genesis_time.get_or_insert(0);
    }
    args.network()
}

/// The cluster lock, if there is one. Keys and identity need not be in place yet.
fn read_lock(place: &PlaceArgs) -> anyhow::Result<Option<VerifiedLock>> {
    let Some((path, lock)) = load_lock(place)? else { return Ok(None) };
    let verified = lock.verify(WalletSignatures::default()).with_context(|| refused(&path))?;
    Ok(Some(verified))
}

/// The cluster lock as it stands, and where.
fn load_lock(place: &PlaceArgs) -> anyhow::Result<Option<(PathBuf, ClusterLock)>> {
    let path = match &place.lock_file {
        Some(path) => path.clone(),
        None => {
            let path = place.data.data_dir.join(LOCK_FILE);
            if !path.try_exists().with_context(|| format!("cannot look at {}", path.display()))? {
                return Ok(None);
            }
            path
        }
    };
    let lock = ClusterLock::load(&path)?;
    Ok(Some((path, lock)))
}

fn refused(lock: &Path) -> String {
    format!("cluster lock {} is refused", lock.display())
}

/// Files of ours would be left beside the database, or the database itself, which its owner's signer could
/// not open. Where there is no database yet the directory tells whose it will be.
fn check_owner(data_dir: &Path, database: &Path) -> anyhow::Result<()> {
    let (what, path, metadata) = match (fs::metadata(database), fs::metadata(data_dir)) {
        (Ok(metadata), _) => ("slashing database", database, metadata),
        (Err(_), Ok(metadata)) => ("data directory", data_dir, metadata),
        // Nothing is there yet; or what is wrong is said when it is opened.
        (Err(_), Err(_)) => return Ok(()),
    };
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    anyhow::ensure!(
        owner == own,
        "{what} {} belongs to user {owner}, and this command runs as user {own}: run it as that user \
         (sudo -u '#{owner}' ..)",
        path.display()
    );
    Ok(())
}
