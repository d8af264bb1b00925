//! Puts a signer without a cluster together: slashing database, listeners, keys, HTTP interface.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use eth_types::network::Network;
use prometheus::Registry;
use slashing_db::SlashingDb;

use super::backend::StandaloneBackend;
use super::signing::Signing;
use super::store::{KeyStore, StoreOptions};
use crate::assemble::{close_slashing_db, open_slashing_db};
use crate::block_proof::BlockRule;
use crate::config::{HttpArgs, KeyManagerArgs, MetricsArgs, SlashingArgs};
use crate::control::Control;
use crate::control::keys::KeyMap;
use crate::keymanager::KeyManagerApi;
use crate::keymanager::standalone::StandaloneKeys;
use crate::metrics::Metrics;
use crate::serving::{Listeners, ServerEnded, Serving, ServingOptions};

/// Written into the data directory with the ports that are listened on, as Web3Signer does, for scripts
/// that let the system choose them.
const PORTS_FILE: &str = "web3signer.ports";

/// What a signer is started with.
#[derive(Debug, Clone)]
pub struct StandaloneOptions {
    /// Its directory; made if it is not there.
    pub data_dir: PathBuf,
    /// The chain.
    pub network: Network,
    /// The HTTP interface.
    pub http: HttpArgs,
    /// The metrics interface.
    pub metrics: MetricsArgs,
    /// The key manager API.
    pub key_manager: KeyManagerArgs,
    /// The keys.
    pub keys: StoreOptions,
    /// How the slashing database is used.
    pub slashing: SlashingArgs,
    /// What blocks have to prove.
    pub block_rule: BlockRule,
}

/// A running signer.
#[derive(Debug)]
pub struct StandaloneNode {
    /// The keys, some of which may be loading still.
    pub keys: KeyStore,
    /// The chain.
    pub network: Network,
    /// Where the HTTP interface listens.
    pub http: SocketAddr,
    /// Where the metrics interface listens.
    pub metrics: Option<SocketAddr>,
    db: SlashingDb,
    control: Control,
    serving: Serving,
}

impl StandaloneNode {
    /// Opens, binds and starts everything; keys are loaded in the background. Any other fault is found
    /// before anything is served.
    ///
    /// # Errors
    /// What, where, and what to do.
    pub async fn start(options: StandaloneOptions) -> anyhow::Result<Self> {
        make_private_dir(&options.data_dir).with_context(|| {
            format!("cannot make the data directory {}", options.data_dir.display())
        })?;
        let listeners = Listeners::bind(&options.http, &options.metrics).await?;
        let token = options.key_manager.token(&options.data_dir).await?;
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::register(&registry)?);
        let network = options.network;
        let db = open_slashing_db(&options.data_dir, &network, None, &options.slashing).await?;
        metrics.follow(&db);

        let control = Control::start(&options.data_dir, db.clone(), KeyMap::any())?;
        let signing = Arc::new(Signing::start(db.clone()).context("no threads to sign with")?);
        let counter = Arc::clone(&metrics);
        let store_options = options.keys;
        let keys = tokio::task::spawn_blocking(move || {
            KeyStore::start(store_options, move |keys| counter.set_signers_loaded(keys))
        })
        .await??;

        let backend = Arc::new(StandaloneBackend::new(keys.clone(), signing, options.block_rule));
        let serving_options = ServingOptions {
            network: network.clone(),
            http: &options.http,
            metrics: &options.metrics,
            key_manager: token.map(|token| {
                let managed = StandaloneKeys::new(keys.clone(), db.clone());
                KeyManagerApi::new(Arc::new(managed), token)
            }),
        };
        let serving = Serving::start(listeners, serving_options, backend, registry, metrics)?;
        write_ports(&options.data_dir, &serving);
        Ok(Self {
            keys,
            network,
            http: serving.http,
            metrics: serving.metrics,
            db,
            control,
            serving,
        })
    }

    /// Completes when a listener is not served any more, though nobody asked for that: stop then.
    pub async fn ended(&mut self) -> ServerEnded {
        self.serving.ended().await
    }

    /// Stops accepting, finishes what runs, closes the database.
    pub async fn stop(self) {
        // First: an import may have hours to go, and whoever sent it is told.
        let keys = self.keys;
        if let Err(error) = tokio::task::spawn_blocking(move || keys.stop()).await {
            tracing::error!(%error, "the keys did not stop");
        }
        tokio::join!(self.serving.stop(), self.control.stop());
        close_slashing_db(self.db).await;
    }
}

/// Makes a directory for its owner alone, unless it is there.
fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write_ports(data_dir: &Path, serving: &Serving) {
    let mut lines = format!("http-port={}\n", serving.http.port());
    if let Some(metrics) = serving.metrics {
        lines.push_str(&format!("metrics-port={}\n", metrics.port()));
    }
    let path = data_dir.join(PORTS_FILE);
    if let Err(error) = std::fs::write(&path, lines) {
        tracing::warn!(%error, "{} could not be written", path.display());
    }
}
