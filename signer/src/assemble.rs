//! Puts a node together: data directory, slashing database, listeners, links to the other operators,
//! HTTP interface. `synod run` runs one, `synod demo` several in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use eth_types::network::Network;
use eth_types::{PublicKey, Root};
use prometheus::Registry;
use slashing_db::{Identity, SlashingDb};
use threshold::cluster_file::VerifiedLock;
use threshold::data_dir::{self, LoadOptions, NodeKeys};
use threshold::net::{Multiaddr, NetConfig, PeerInfo};
use threshold::share::ValidatorShare;
use threshold::work::ValidatorKeys;
use threshold::{Cluster, NodeConfig};
use threshold_protocol::bls::SigningShare;
use threshold_protocol::policy::{Policy, Validator};
use threshold_protocol::timing::Timing;
use threshold_protocol::{OperatorIndex, Quorum};

use crate::block_proof::BlockProofArgs;
use crate::cluster_backend::ClusterBackend;
use crate::cluster_metrics::ClusterMetrics;
use crate::config::{HttpArgs, KeyManagerArgs, MetricsArgs, P2pArgs, SlashingArgs};
use crate::control::Control;
use crate::control::keys::KeyMap;
use crate::keymanager::KeyManagerApi;
use crate::keymanager::cluster::ClusterKeys;
use crate::metrics::Metrics;
use crate::net_metrics;
use crate::serving::{Listeners, ServerEnded, Serving, ServingOptions};

/// Name of the slashing database in a data directory.
pub const SLASHING_DB_FILE: &str = "slashing-protection.sqlite";
/// Name of the file of witnessed duties in a data directory.
const WITNESS_FILE: &str = "witnessed-duties.jsonl";

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its directory.
    pub data_dir: PathBuf,
    /// The HTTP interface.
    pub http: HttpArgs,
    /// The metrics interface.
    pub metrics: MetricsArgs,
    /// The key manager API.
    pub key_manager: KeyManagerArgs,
    /// The links to the other operators.
    pub p2p: P2pArgs,
    /// The chain, if it is not to be found from the cluster lock.
    pub network: Option<Network>,
    /// What is co-signed.
    pub policy: Policy,
    /// How to look at the data directory.
    pub load: LoadOptions,
    /// How the slashing database is used.
    pub slashing: SlashingArgs,
    /// What blocks have to prove.
    pub block_proofs: BlockProofArgs,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// Signs.
    pub cluster: Cluster,
    /// Which operator of the lock it is.
    pub operator: OperatorIndex,
    /// The chain.
    pub network: Network,
    /// Where the HTTP interface listens.
    pub http: SocketAddr,
    /// Where the metrics interface listens.
    pub metrics: Option<SocketAddr>,
    db: SlashingDb,
    serving: Serving,
    control: Control,
}

impl Node {
    /// Loads, opens, binds and starts everything. What is wrong is found before anything is served.
    ///
    /// # Errors
    /// What, where, and what to do.
    pub async fn start(options: NodeOptions) -> anyhow::Result<Self> {
        let (dir, load) = (options.data_dir.clone(), options.load.clone());
        let keys = tokio::task::spawn_blocking(move || data_dir::load(&dir, &load)).await??;
        let network = network_of(&keys.lock, options.network.as_ref())?;
        let (operator, lock_hash) = (keys.operator, keys.lock.lock_hash());

        let listeners = Listeners::bind(&options.http, &options.metrics).await?;

        let token = options.key_manager.token(&options.data_dir).await?;
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::register(&registry)?);
        let cluster_metrics = ClusterMetrics::register(&registry)?;

        let db = open_slashing_db(&options.data_dir, &network, Some(lock_hash), &options.slashing)
            .await?;
        metrics.follow(&db);

        let control = Control::start(&options.data_dir, db.clone(), KeyMap::of_lock(&keys.lock))?;
        let fee_recipients = keys
            .lock
            .validators()
            .iter()
            .map(|validator| (validator.public_key(), validator.fee_recipient()))
            .collect();
        let key_manager = token.map(|token| {
            let managed = ClusterKeys::new(&keys.lock, operator, db.clone());
            KeyManagerApi::new(Arc::new(managed), token)
        });
        let config = node_config(keys, &options, &network, db.clone())?;
        let cluster = Cluster::start(config, Arc::new(cluster_metrics.clone())).await?;
        metrics.set_signers_loaded(cluster.public_keys().len());
        cluster_metrics.follow(&cluster);
        net_metrics::register(&registry, cluster.net().clone())?;

        let backend = ClusterBackend::new(cluster.clone(), network.clone())
            .with_block_proofs(fee_recipients, options.block_proofs.require_fee_recipient_proof);
        let backend = Arc::new(backend);
        let serving_options = ServingOptions {
            network: network.clone(),
            http: &options.http,
            metrics: &options.metrics,
            key_manager,
        };
        let serving = Serving::start(listeners, serving_options, backend, registry, metrics)?;
        Ok(Self {
            cluster,
            operator,
            network,
            http: serving.http,
            metrics: serving.metrics,
            db,
            serving,
            control,
        })
    }

    /// Completes when a listener is not served any more, though nobody asked for that: stop then.
    pub async fn ended(&mut self) -> ServerEnded {
        self.serving.ended().await
    }

    /// Stops accepting, finishes what runs, closes the links and the database.
    pub async fn stop(self) {
        tokio::join!(self.serving.stop(), self.control.stop());
        self.cluster.shutdown().await;
        close_slashing_db(self.db).await;
    }

    /// The validators' public keys.
    #[must_use]
    pub fn public_keys(&self) -> &[PublicKey] {
        self.cluster.public_keys()
    }
}

/// Opens the slashing database in the data directory, or makes it.
pub(crate) async fn open_slashing_db(
    data_dir: &Path,
    network: &Network,
    cluster_lock_hash: Option<Root>,
    args: &SlashingArgs,
) -> anyhow::Result<SlashingDb> {
    let identity = Identity {
        genesis_validators_root: network.genesis_validators_root(),
        network: network.name().to_owned(),
        cluster_lock_hash,
    };
    let path = data_dir.join(SLASHING_DB_FILE);
    let options = args.options(network.slots_per_epoch());
    let db = tokio::task::spawn_blocking(move || SlashingDb::open(&path, &identity, options));
    let db = db.await??;
    if args.accept_restored_database {
        tell_of_acceptance(db.looks_restored());
    }
    Ok(db)
}

/// Leaves a trace of what was accepted, and reminds of an option that would accept the next loss unseen.
fn tell_of_acceptance(looks_restored: Option<&str>) {
    match looks_restored {
        Some(found) => tracing::warn!(
            found,
            "signing with a slashing database that looks restored from an older copy or made anew, as \
             --accept-restored-database says; remove that option before the next start"
        ),
        None => tracing::warn!(
            "--accept-restored-database was not needed, the slashing database is in order: remove it, or the \
             next loss goes unnoticed"
        ),
    }
}

/// Closes the slashing database off the async threads.
pub(crate) async fn close_slashing_db(db: SlashingDb) {
    if let Err(error) = tokio::task::spawn_blocking(move || db.close()).await {
        tracing::error!(%error, "the slashing database was not closed in order");
    }
}

/// The chain of the lock, or the one given; they have to be the same.
pub(crate) fn network_of(lock: &VerifiedLock, given: Option<&Network>) -> anyhow::Result<Network> {
    let version = lock.fork_version();
    let Some(network) = given.cloned().or_else(|| lock.network()) else {
        anyhow::bail!(
            "the cluster lock is for a network with genesis fork version {version}, which is not built \
             in: give --network FILE --genesis-validators-root ROOT --genesis-time SECONDS"
        );
    };
    anyhow::ensure!(
        network.genesis_fork_version() == version,
        "the cluster lock is for a network with genesis fork version {version}, but --network {} has {}",
        network.name(),
        network.genesis_fork_version()
    );
    Ok(network)
}

fn node_config(
    keys: NodeKeys,
    options: &NodeOptions,
    network: &Network,
    db: SlashingDb,
) -> anyhow::Result<NodeConfig> {
    let NodeKeys { identity, lock, operator, shares } = keys;
    let threshold = lock.threshold();
    let quorum = Quorum::new(threshold.operators().into(), threshold.threshold().into())?;
    let peers = lock
        .operators()
        .iter()
        .zip(0..)
        .map(|(operator, index)| PeerInfo {
            index: OperatorIndex::new(index),
            public_key: operator.enr().public_key_bytes(),
        })
        .collect();
    let validators = lock
        .validators()
        .iter()
        .map(|validator| Validator {
            public_key: validator.public_key(),
            fee_recipient: validator.fee_recipient(),
        })
        .collect();
    let keys = lock
        .validators()
        .iter()
        .zip(shares)
        .map(|(validator, (_, share))| {
            Ok(ValidatorKeys {
                share: ValidatorShare::new(
                    validator.public_key(),
                    SigningShare::new(share, threshold)?,
                ),
                public: validator.shares().clone(),
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let net = NetConfig {
        identity: identity.to_bytes(),
        me: operator,
        peers,
        lock_hash: lock.lock_hash().into(),
        listen: options.p2p.p2p_tcp_address.clone(),
        external_ip: options.p2p.p2p_external_ip,
        external_hostname: options.p2p.p2p_external_hostname.clone(),
        relays: multiaddrs("--p2p-relays", &options.p2p.p2p_relays)?,
        static_peers: multiaddrs("--p2p-peers", &options.p2p.p2p_peers)?,
    };
    Ok(NodeConfig {
        quorum,
        network: network.clone(),
        timing: Timing::for_network(network),
        policy: options.policy.clone(),
        validators,
        keys,
        net,
        db,
        witness_file: witness_file(&options.data_dir),
    })
}

fn witness_file(data_dir: &Path) -> PathBuf {
    data_dir.join(WITNESS_FILE)
}

fn multiaddrs(option: &str, texts: &[String]) -> anyhow::Result<Vec<Multiaddr>> {
    texts
        .iter()
        .map(|text| {
            text.parse().with_context(|| {
                format!("{option} {text}: expected a multiaddress such as /ip4/1.2.3.4/tcp/3610/p2p/16U..")
            })
        })
        .collect()
}
