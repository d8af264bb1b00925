//! Which clients may speak: those whose certificate is in a known-clients file, as Web3Signer has it, or
//! signed by a CA.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::identity::{IdentityError, read_certificates, read_file};
use super::{Provider, Reading};

/// Which clients are admitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientRules {
    /// Lines of common name and SHA-256 fingerprint.
    pub known_clients: Option<PathBuf>,
    /// CAs whose clients are admitted.
    pub ca: Option<PathBuf>,
    /// Admit clients that show no certificate. One that is shown is checked by the other rules, if any.
    pub without_certificate: bool,
}

impl ClientRules {
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.known_clients.iter().chain(&self.ca).map(PathBuf::as_path)
    }
}

/// Why the rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] IdentityError),
    /// A line of the known-clients file.
    #[error(
        "{} line {line}: expected <common name> <SHA-256 fingerprint: 32 bytes of hex, with or without \
         colons>, found {found:?}",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The line.
        found: String,
    },
    /// The known-clients file lists nobody, at the start, and there is no CA either.
    #[error(
        "{} lists no client: expected lines of <common name> <SHA-256 fingerprint>, or --tls-client-ca-file \
         beside it",
        path.display()
    )]
    Nobody {
        /// The file.
        path: PathBuf,
    },
    /// A CA certificate is refused.
    #[error("a certificate in {} cannot be used as a CA", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Error,
    },
    /// The CAs together are refused.
    #[error("the certificates in {} cannot be used as CAs", path.display())]
    Cas {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: VerifierBuilderError,
    },
}

/// The verifier for these rules; `None` if no certificate is asked for.
pub(super) fn verifier(
    rules: &ClientRules,
    reading: Reading,
    provider: &Provider,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, ClientsError> {
    let known = match &rules.known_clients {
        Some(path) => Some(KnownClients::read(path)?),
        None => None,
    };
    let ca = match &rules.ca {
        Some(path) => Some(ca_verifier(path, provider)?),
        None => None,
    };
    if known.is_none() && ca.is_none() {
        return Ok(None);
    }
    if let (Some(path), Some(KnownClients { names })) = (&rules.known_clients, &known)
        && names.is_empty()
    {
        if reading == Reading::Start && ca.is_none() {
            return Err(ClientsError::Nobody { path: path.clone() });
        }
        // Whoever takes the last client off the list wants it refused: the list counts as it is.
        tracing::warn!("{} lists no client: none is known by its fingerprint", path.display());
    }
    Ok(Some(Arc::new(Verifier {
        known: known.unwrap_or_default(),
        ca,
        mandatory: !rules.without_certificate,
        algorithms: provider.signature_verification_algorithms,
    })))
}

fn ca_verifier(
    path: &Path,
    provider: &Provider,
) -> Result<Arc<dyn ClientCertVerifier>, ClientsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots
            .add(certificate)
            .map_err(|source| ClientsError::Ca { path: path.to_owned(), source })?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|source| ClientsError::Cas { path: path.to_owned(), source })
}

/// A SHA-256 hash of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate.as_ref()).into())
    }

    /// 64 digits of any case, with or without colons between the bytes.
    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.replace(':', ""), &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

/// As OpenSSL and the known-clients file write it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

/// The content of a known-clients file.
#[derive(Default)]
struct KnownClients {
    /// A certificate may be listed under several names.
    names: HashMap<Fingerprint, Vec<String>>,
}

impl KnownClients {
    fn read(path: &Path) -> Result<Self, ClientsError> {
        let bytes = read_file(path)?;
        Self::parse(&String::from_utf8_lossy(&bytes)).map_err(|(line, found)| ClientsError::Line {
            path: path.to_owned(),
            line,
            found,
        })
    }

    /// Empty lines and those that begin with `#` are skipped. On failure the line's number and content.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut known = Self::default();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // A common name may have spaces in it.
            let parsed = line.rsplit_once(char::is_whitespace).and_then(|(name, fingerprint)| {
                Some((name.trim().to_owned(), Fingerprint::parse(fingerprint)?))
            });
            let Some((name, fingerprint)) = parsed else {
                return Err((number, line.to_owned()));
            };
            known.names.entry(fingerprint).or_default().push(name);
        }
        Ok(known)
    }

    fn admits(&self, fingerprint: Fingerprint, name: Option<&str>) -> bool {
        self.names
            .get(&fingerprint)
            .is_some_and(|names| name.is_some_and(|name| names.iter().any(|known| known == name)))
    }
}

/// The first common name of a certificate's subject.
pub(crate) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

/// The version of a certificate that is older than the TLS library reads.
fn outdated_version(certificate: &CertificateDer<'_>) -> Option<u32> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    // Version 1 is written as 0.
    (parsed.version() != X509Version::V3).then(|| parsed.version().0.saturating_add(1))
}

/// A client is admitted if its certificate is known or, where there are CAs, signed by one.
struct Verifier {
    known: KnownClients,
    ca: Option<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("known", &self.known.names.len())
            .field("ca", &self.ca.is_some())
            .field("mandatory", &self.mandatory)
            .finish_non_exhaustive()
    }
}

/// The certificate that a client showed is none that is admitted.
#[derive(Debug, thiserror::Error)]
#[error(
    "the certificate of client {:?} with SHA-256 fingerprint {fingerprint} {reason}",
    name.as_deref().unwrap_or_default()
)]
struct RefusedClient {
    name: Option<String>,
    fingerprint: Fingerprint,
    reason: Reason,
}

/// Why a certificate is not admitted.
#[derive(Debug, thiserror::Error)]
enum Reason {
    /// The library reads no other version, whoever vouches for the certificate.
    #[error(
        "is of X.509 version {0}, and only version 3 can be checked: issue it anew as version 3 (openssl \
         x509 -req does so with an extensions file, -extfile)"
    )]
    Version(u32),
    #[error("is not in the known-clients file")]
    Unknown,
    #[error("is not in the known-clients file, and no CA of the client CA file has signed it")]
    UnknownIssuer,
    #[error("is not in the known-clients file, and not admitted by the client CA file: {0}")]
    Ca(Error),
}

impl From<Error> for Reason {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => Self::UnknownIssuer,
            other => Self::Ca(other),
        }
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    /// Empty: a client shows what it has. Names of CAs would keep back those that are known by
    /// fingerprint.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// A known certificate is taken as it stands, also if it has expired or is its own issuer, as
    /// Web3Signer does: the line in the file is what vouches for it.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let fingerprint = Fingerprint::of(end_entity);
        let name = common_name(end_entity);
        let admitted = if let Some(version) = outdated_version(end_entity) {
            Err(Reason::Version(version))
        } else if self.known.admits(fingerprint, name.as_deref()) {
            Ok(ClientCertVerified::assertion())
        } else {
            match &self.ca {
                Some(ca) => {
                    ca.verify_client_cert(end_entity, intermediates, now).map_err(Reason::from)
                }
                None => Err(Reason::Unknown),
            }
        };
        admitted.map_err(|reason| {
            let refused = RefusedClient { name, fingerprint, reason };
            CertificateError::Other(OtherError(Arc::new(refused))).into()
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLONS: &str = "AB:CD:EF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC";

    #[test]
    fn known_clients_are_read_in_any_case_with_or_without_colons() {
        let plain = COLONS.replace(':', "").to_lowercase();
        let text = format!("# validator clients\r\nteku {COLONS}\r\n\n  my client\t{plain}  \n");
        let known = KnownClients::parse(&text).unwrap();
        let fingerprint = Fingerprint::parse(COLONS).unwrap();
        assert_eq!(fingerprint.to_string(), COLONS);
        assert!(known.admits(fingerprint, Some("teku")));
        assert!(known.admits(fingerprint, Some("my client")));
        for stranger in [Some("Teku"), Some(""), None] {
            assert!(!known.admits(fingerprint, stranger), "{stranger:?}");
        }
        assert!(!known.admits(Fingerprint([0; 32]), Some("teku")));
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        for line in
            ["teku", &format!("teku {}", &COLONS[3..]), &format!("teku {COLONS}:00"), COLONS]
        {
            let text = format!("# first\n{line}\n");
            let refused = KnownClients::parse(&text).err();
            assert_eq!(refused, Some((2, line.to_owned())), "{line}");
        }
    }
    /// Signed by the CA beside it, but without an extensions file: OpenSSL makes version 1 of it then.
    const VERSION_1: &[u8] = include_bytes!("../../tests/it/fixtures/client-v1.pem");
    const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/client-v1-ca.pem");

    #[test]
    fn a_certificate_of_version_1_is_refused_for_its_version_also_if_it_is_known() {
        use tokio_rustls::rustls::crypto::ring;
        use tokio_rustls::rustls::pki_types::pem::PemObject;

        let certificate = CertificateDer::from_pem_slice(VERSION_1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("known.txt");
        std::fs::write(&list, format!("teku {}\n", Fingerprint::of(&certificate))).unwrap();
        for known_clients in [None, Some(list)] {
            let rules =
                ClientRules { known_clients, ca: Some(CA.into()), without_certificate: false };
            let provider = Arc::new(ring::default_provider());
            let verifier = verifier(&rules, Reading::Start, &provider).unwrap().unwrap();
            let refused = verifier.verify_client_cert(&certificate, &[], UnixTime::now());
            let Err(Error::InvalidCertificate(CertificateError::Other(reason))) = refused else {
                panic!("{refused:?}");
            };
            let reason = reason.0.to_string();
            assert!(reason.contains("is of X.509 version 1"), "{reason}");
            assert!(!reason.contains("no CA"), "{reason}");
        }
    }
}
