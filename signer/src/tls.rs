//! TLS of the HTTP interface: the server's certificate, the rules for clients' certificates, and both read
//! anew while the server runs.
//!
//! [`ServerTls`] holds the configuration that new connections get. [`ServerTls::reload`] replaces it with
//! what the files hold then; if they cannot be used, the old one stays. A list of known clients that is
//! empty by then can be used: it admits nobody. [`ServerTls::watch`] does so when a
//! file changes. Connections that are open keep what they began with.

mod clients;
mod identity;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ServerConfig};

pub(crate) use self::clients::common_name;
pub use self::clients::{ClientRules, ClientsError};
pub use self::identity::{Expiry, IdentityError, IdentityFiles};

/// How often the files are looked at. A renewed certificate has days before the old one expires.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);
/// A certificate that expires within this time is warned about at each reading.
const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 3600);

/// The files that TLS is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and key.
    pub identity: IdentityFiles,
    /// Which clients are admitted.
    pub clients: ClientRules,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The server's certificate or key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The rules for clients.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// The key is another certificate's.
    #[error(
        "the key in {} is not that of the certificate in {}",
        files.key_file().display(),
        files.certificate_file().display()
    )]
    KeyMismatch {
        /// The server's certificate and key.
        files: IdentityFiles,
    },
    /// The TLS library refuses them.
    #[error("TLS cannot be set up with {}", files.identity)]
    Refused {
        /// What was read.
        files: Box<TlsFiles>,
        /// The library's reason.
        #[source]
        source: rustls::Error,
    },
}

/// TLS as new connections get it; clones share it.
#[derive(Debug, Clone)]
pub struct ServerTls {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: TlsFiles,
    current: RwLock<Current>,
    /// Of the files as they were just before they were last read.
    seen: Mutex<Vec<Option<Stamp>>>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    expiry: Expiry,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = Mutex::new(files.stamps());
        let current = RwLock::new(read(&files, Reading::Start)?);
        Ok(Self { inner: Arc::new(Inner { files, current, seen }) })
    }

    /// The configuration for a connection that begins now.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current().config)
    }

    /// When the server's certificate expires.
    #[must_use]
    pub fn expiry(&self) -> Expiry {
        self.current().expiry
    }

    /// Whether every client needs a certificate.
    #[must_use]
    pub fn requires_client_certificates(&self) -> bool {
        !self.inner.files.clients.without_certificate
    }

    /// Reads the files anew. It reads from the disk: call it off the async threads.
    ///
    /// # Errors
    /// See [`TlsError`]; what was in use stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        // Kept also if they cannot be used: they are read again when they have changed.
        *self.seen() = self.inner.files.stamps();
        let read = read(&self.inner.files, Reading::Again)?;
        *self.inner.current.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Reloads, and logs how that went.
    pub async fn reload_and_log(&self) {
        let tls = self.clone();
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(())) => tracing::info!(
                certificate = %self.inner.files.identity,
                "TLS files were read anew: new connections get them"
            ),
            Ok(Err(error)) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "TLS files cannot be used: the old ones stay in use"
            ),
            Err(error) => tracing::error!(%error, "TLS files were not read anew"),
        }
    }

    /// Reloads whenever a file has changed since it was read. Runs until it is dropped.
    pub async fn watch(self) {
        let mut ticks = tokio::time::interval(WATCH_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tls = self.clone();
            let looked =
                tokio::task::spawn_blocking(move || tls.inner.files.stamps() != *tls.seen());
            if looked.await.unwrap_or(false) {
                // A set of which only some are replaced by now may be refused, and is complete at the
                // next look.
                self.reload_and_log().await;
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Option<Stamp>>> {
        self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> std::sync::RwLockReadGuard<'_, Current> {
        self.inner.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TlsFiles {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.identity.paths().into_iter().chain(self.clients.paths())
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.paths().map(stamp).collect()
    }
}

/// What changes about a file when its content does.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(files: &TlsFiles, reading: Reading) -> Result<Current, TlsError> {
    // Named here, since other crates of the program may bring other providers along.
    let provider = Arc::new(ring::default_provider());
    let refused = |source| TlsError::Refused { files: Box::new(files.clone()), source };
    let identity = identity::read(&files.identity)?;
    warn_of_expiry(&files.identity, identity.expiry);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        // Teku and Nimbus speak TLS 1.2 only.
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(refused)?;
    let builder = match clients::verifier(&files.clients, reading, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(identity.certificates, identity.key);
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch) => {
            TlsError::KeyMismatch { files: files.identity.clone() }
        }
        other => refused(other),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Current { config: Arc::new(config), expiry: identity.expiry })
}

/// When the files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Before anything is served: what admits nobody is a mistake.
    Start,
    /// While the server runs: what admits nobody any more may be meant so, and has to count.
    Again,
}

fn warn_of_expiry(files: &IdentityFiles, expiry: Expiry) {
    let now = SystemTime::now();
    if expiry.at() <= now {
        tracing::error!(certificate = %files, "the TLS certificate has expired: clients refuse it");
    } else if expiry.at() <= now + EXPIRY_WARNING {
        tracing::warn!(certificate = %files, "the TLS certificate expires within two weeks");
    }
}

/// The provider of all cryptography here.
type Provider = Arc<CryptoProvider>;

/// The reason of a handshake that failed over the client's certificate.
pub(crate) const CLIENT_CERTIFICATE: &str = "client_certificate";

/// Why a handshake failed: a label for metrics, and in words.
pub(crate) fn failure(error: &std::io::Error) -> (&'static str, String) {
    use rustls::{CertificateError, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let reason = match inner {
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => CLIENT_CERTIFICATE,
        Some(Error::AlertReceived(_)) => "alert",
        Some(_) => "protocol",
        None => "connection",
    };
    let text = match inner {
        // The library shows it in the form that is meant for programmers.
        Some(Error::InvalidCertificate(CertificateError::Other(other))) => other.0.to_string(),
        Some(Error::NoCertificatesPresented) => "it shows no certificate".to_owned(),
        _ => error.to_string(),
    };
    (reason, text)
}
