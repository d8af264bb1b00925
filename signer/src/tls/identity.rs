//! The server's certificate and key, from PEM or PKCS#12.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// Longest file that is read; a chain of certificates with its key has a few kilobytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Where the server's certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityFiles {
    /// Two PEM files.
    Pem {
        /// The certificate, then those of its issuers.
        certificate: PathBuf,
        /// The key: PKCS#8, PKCS#1 or SEC1.
        key: PathBuf,
    },
    /// One PKCS#12 file.
    Pkcs12 {
        /// The file.
        keystore: PathBuf,
        /// The file whose first line is its password.
        password: PathBuf,
    },
}

impl IdentityFiles {
    /// The files.
    #[must_use]
    pub fn paths(&self) -> [&Path; 2] {
        match self {
            Self::Pem { certificate, key } => [certificate, key],
            Self::Pkcs12 { keystore, password } => [keystore, password],
        }
    }

    /// The file that the certificate is in.
    pub(super) fn certificate_file(&self) -> &Path {
        match self {
            Self::Pem { certificate, .. } => certificate,
            Self::Pkcs12 { keystore, .. } => keystore,
        }
    }

    /// The file that the key is in.
    pub(super) fn key_file(&self) -> &Path {
        match self {
            Self::Pem { key, .. } => key,
            Self::Pkcs12 { keystore, .. } => keystore,
        }
    }
}

/// The file that holds the certificate.
impl fmt::Display for IdentityFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.certificate_file().display().fmt(f)
    }
}

/// When a certificate expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry(SystemTime);

impl Expiry {
    /// The moment from which on clients refuse it.
    #[must_use]
    pub const fn at(self) -> SystemTime {
        self.0
    }
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A file is too long to be what it should be.
    #[error("{} has {length} bytes, expected at most {FILE_LIMIT}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// A file is not PEM.
    #[error("{} is not PEM with a {expected}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was expected in it.
        expected: &'static str,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// A PEM file has no certificate.
    #[error("{} holds no certificate: expected -----BEGIN CERTIFICATE-----", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The PKCS#12 file cannot be opened.
    #[error(
        "cannot open {} with the password in {}: the password is wrong, or the file is damaged or not \
         PKCS#12",
        keystore.display(),
        password.display()
    )]
    Pkcs12 {
        /// The file.
        keystore: PathBuf,
        /// The password's file.
        password: PathBuf,
        /// What is wrong.
        #[source]
        source: p12_keystore::error::Error,
    },
    /// The PKCS#12 file has no private key.
    #[error("{} holds no private key with its certificate", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The password's file is empty.
    #[error("{} is empty: expected the password in its first line", path.display())]
    NoPassword {
        /// The file.
        path: PathBuf,
    },
    /// The certificate or the key cannot be parsed.
    #[error("{what} in {} cannot be read: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Certificate or key.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// What a server shows and proves.
pub(super) struct Identity {
    /// Its own certificate first.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) expiry: Expiry,
}

pub(super) fn read(files: &IdentityFiles) -> Result<Identity, IdentityError> {
    let [path, _] = files.paths();
    let (certificates, key) = match files {
        IdentityFiles::Pem { certificate, key } => read_pem(certificate, key)?,
        IdentityFiles::Pkcs12 { keystore, password } => read_pkcs12(keystore, password)?,
    };
    let no_certificate = || IdentityError::NoCertificate { path: path.to_owned() };
    let expiry = expiry(path, certificates.first().ok_or_else(no_certificate)?)?;
    Ok(Identity { certificates, key, expiry })
}

/// Certificates (at least one) of a PEM file.
pub(super) fn read_certificates(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let bytes = read_file(path)?;
    let certificates =
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(
            |source| IdentityError::Pem { path: path.to_owned(), expected: "certificate", source },
        )?;
    if certificates.is_empty() {
        return Err(IdentityError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// The bytes of a file of sensible length, wiped when dropped.
pub(super) fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let failed = |source| IdentityError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > FILE_LIMIT {
        return Err(IdentityError::TooLong { path: path.to_owned(), length });
    }
    std::fs::read(path).map(Zeroizing::new).map_err(failed)
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read_pem(certificate: &Path, key: &Path) -> Result<Pair, IdentityError> {
    let certificates = read_certificates(certificate)?;
    warn_if_exposed(key);
    let parsed = PrivateKeyDer::from_pem_slice(&read_file(key)?).map_err(|source| {
        IdentityError::Pem { path: key.to_owned(), expected: "private key", source }
    })?;
    Ok((certificates, parsed))
}

fn read_pkcs12(keystore: &Path, password: &Path) -> Result<Pair, IdentityError> {
    let secret = read_password(password)?;
    let store = KeyStore::from_pkcs12(&read_file(keystore)?, &secret, Pkcs12ImportPolicy::Strict)
        .map_err(|source| IdentityError::Pkcs12 {
        keystore: keystore.to_owned(),
        password: password.to_owned(),
        source,
    })?;
    let no_key = || IdentityError::NoKey { path: keystore.to_owned() };
    let (_, chain) = store.private_key_chain().ok_or_else(no_key)?;
    let certificates =
        chain.certs().iter().map(|cert| CertificateDer::from(cert.as_der().to_vec())).collect();
    let key = PrivateKeyDer::try_from(chain.key().as_der().to_vec()).map_err(|reason| {
        IdentityError::Parse {
            path: keystore.to_owned(),
            what: "the key",
            reason: reason.to_owned(),
        }
    })?;
    Ok((certificates, key))
}

/// The first line of the file, which may end as on any system.
fn read_password(path: &Path) -> Result<Zeroizing<String>, IdentityError> {
    let bytes = read_file(path)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(IdentityError::NoPassword { path: path.to_owned() }),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(IdentityError::Parse {
            path: path.to_owned(),
            what: "the password",
            reason: "it is not UTF-8".to_owned(),
        }),
    }
}

/// A TLS key is not a validator's: containers mount it world-readable as a rule, so this only warns.
fn warn_if_exposed(path: &Path) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        tracing::warn!(
            "everybody on this machine can read the TLS key {} (mode {mode:o}): run chmod 600 {}",
            path.display(),
            path.display()
        );
    }
}

fn expiry(path: &Path, certificate: &CertificateDer<'_>) -> Result<Expiry, IdentityError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| {
        let reason = error.to_string();
        IdentityError::Parse { path: path.to_owned(), what: "the certificate", reason }
    })?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok(Expiry(UNIX_EPOCH + Duration::from_secs(seconds)))
}
