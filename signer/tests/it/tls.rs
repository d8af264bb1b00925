//! HTTPS: versions, client certificates, and certificates that are replaced.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use signer::server::{ServerOptions, serve};
use signer::tls::{ClientRules, IdentityFiles, ServerTls, TlsFiles};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version,
};

use crate::support::{Fake, server};

/// A PKCS#12 file that this project made with OpenSSL, password `changeit`: a P-256 key and a certificate
/// for localhost.
const PKCS12: &[u8] = include_bytes!("fixtures/localhost.p12");

/// A certificate with its key, as PEM.
struct Made {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn make(name: &str, issuer: Option<&Made>) -> Made {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    if name.ends_with("ca") {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, &issuer.certificate, &issuer.key),
        None => params.self_signed(&key),
    };
    Made { certificate: certificate.unwrap(), key }
}

impl Made {
    fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        hex::encode(Sha256::digest(self.certificate.der()))
    }
}

/// A folder with a server's files, and the server.
struct Site {
    dir: TempDir,
    tls: ServerTls,
    address: SocketAddr,
    ca: Made,
    serving: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    path
}

impl Site {
    /// A server whose certificate `ca` signs, with the rules that `clients` makes from the folder and the CA.
    async fn start(clients: impl FnOnce(&Path, &Made) -> ClientRules) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = make("test ca", None);
        write_server(dir.path(), &make("localhost", Some(&ca)));
        let identity = IdentityFiles::Pem {
            certificate: dir.path().join("server.pem"),
            key: dir.path().join("server.key"),
        };
        let clients = clients(dir.path(), &ca);
        let tls = ServerTls::open(TlsFiles { identity, clients }).unwrap();
        let (address, serving) = serve_with(tls.clone()).await;
        Self { dir, tls, address, ca, serving }
    }

    async fn upcheck(&self, client: Option<&Made>) -> Result<String, String> {
        upcheck(self.address, self.ca.certificate.der(), client, &version::TLS13).await
    }
}

async fn serve_with(tls: ServerTls) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = ServerOptions { tls: Some(tls), ..ServerOptions::default() };
    let router = server(Fake::signing()).router;
    (address, tokio::spawn(serve(listener, router, options, std::future::pending())))
}

fn write_server(dir: &Path, server: &Made) {
    write(dir, "server.pem", server.certificate.pem());
    write(dir, "server.key", server.key.serialize_pem());
}

fn anybody() -> ClientRules {
    ClientRules { without_certificate: true, ..ClientRules::default() }
}

/// Asks `/upcheck`; the protocol's version and the answer's status line, or what went wrong.
async fn upcheck(
    address: SocketAddr,
    trusted: &CertificateDer<'_>,
    client: Option<&Made>,
    version: &'static SupportedProtocolVersion,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone().into_owned()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(made) => {
            let key = PrivateKeyDer::from_pem_slice(made.key.serialize_pem().as_bytes()).unwrap();
            let chain = vec![made.certificate.der().clone()];
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let connected = TcpStream::connect(address).await.unwrap();
    let exchange = async {
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, connected).await?;
        let request = "GET /upcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        // A client that does not wait for the server's last word sees a broken connection at most.
        stream.read_to_string(&mut answer).await?;
        let version = match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "another version",
        };
        Ok(format!("{version}: {}", answer.lines().next().unwrap_or_default()))
    };
    exchange.await.map_err(|error: std::io::Error| error.to_string())
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    let site = Site::start(|_, _| anybody()).await;
    for (version, expected) in [
        (&version::TLS12, "TLS 1.2: HTTP/1.1 200 OK"),
        (&version::TLS13, "TLS 1.3: HTTP/1.1 200 OK"),
    ] {
        let answer = upcheck(site.address, site.ca.certificate.der(), None, version).await;
        assert_eq!(answer.as_deref(), Ok(expected));
    }
}

#[tokio::test]
async fn a_pkcs12_file_is_served_from() {
    let dir = tempfile::tempdir().unwrap();
    let identity = IdentityFiles::Pkcs12 {
        keystore: write(dir.path(), "server.p12", PKCS12),
        password: write(dir.path(), "password.txt", "changeit\r\nsecond line\n"),
    };
    let tls = ServerTls::open(TlsFiles { identity, clients: anybody() }).unwrap();
    let (address, serving) = serve_with(tls).await;
    let pem = include_bytes!("fixtures/localhost.pem");
    let certificate = CertificateDer::from_pem_slice(pem).unwrap();
    let answer = upcheck(address, &certificate, None, &version::TLS12).await;
    assert_eq!(answer.as_deref(), Ok("TLS 1.2: HTTP/1.1 200 OK"));
    serving.abort();
}

#[tokio::test]
async fn a_wrong_password_is_told_with_both_files() {
    let dir = tempfile::tempdir().unwrap();
    let identity = IdentityFiles::Pkcs12 {
        keystore: write(dir.path(), "server.p12", PKCS12),
        password: write(dir.path(), "password.txt", "guess"),
    };
    let error = ServerTls::open(TlsFiles { identity, clients: anybody() }).unwrap_err().to_string();
    assert!(error.contains("server.p12 with the password in "), "{error}");
}

#[tokio::test]
async fn only_known_clients_and_those_of_the_ca_are_let_in() {
    let known = make("my client", None);
    let line = format!("my client {}\n", known.fingerprint());
    let site = Site::start(|dir, ca| ClientRules {
        known_clients: Some(write(dir, "known.txt", line)),
        ca: Some(write(dir, "ca.pem", ca.certificate.pem())),
        without_certificate: false,
    })
    .await;
    let signed = make("teku", Some(&site.ca));
    for client in [&known, &signed] {
        assert_eq!(site.upcheck(Some(client)).await.as_deref(), Ok("TLS 1.3: HTTP/1.1 200 OK"));
    }
    let other_ca = make("other ca", None);
    // The same name as a known one, and another CA.
    let strangers = [make("my client", None), make("teku", Some(&other_ca))];
    for stranger in &strangers {
        assert!(site.upcheck(Some(stranger)).await.is_err());
        let ca = site.ca.certificate.der();
        assert!(upcheck(site.address, ca, Some(stranger), &version::TLS12).await.is_err());
    }
    assert!(site.upcheck(None).await.is_err());
}

#[tokio::test]
async fn a_known_certificate_under_another_name_is_refused() {
    let client = make("teku", None);
    let line = format!("lighthouse {}\n", client.fingerprint());
    let site = Site::start(|dir, _| ClientRules {
        known_clients: Some(write(dir, "known.txt", line)),
        ..ClientRules::default()
    })
    .await;
    assert!(site.upcheck(Some(&client)).await.is_err());
}

#[tokio::test]
async fn an_optional_certificate_is_still_checked() {
    let known = make("teku", None);
    let line = format!("teku {}\n", known.fingerprint());
    let site = Site::start(|dir, _| ClientRules {
        known_clients: Some(write(dir, "known.txt", line)),
        ca: None,
        without_certificate: true,
    })
    .await;
    assert!(site.upcheck(None).await.is_ok());
    assert!(site.upcheck(Some(&known)).await.is_ok());
    assert!(site.upcheck(Some(&make("teku", None))).await.is_err());
}

#[tokio::test]
async fn new_files_are_served_after_a_reload_and_bad_ones_change_nothing() {
    let site = Site::start(|_, _| anybody()).await;
    let new_ca = make("new ca", None);
    let trusts = async |ca: &Made| {
        upcheck(site.address, ca.certificate.der(), None, &version::TLS13).await.is_ok()
    };
    assert!(trusts(&site.ca).await && !trusts(&new_ca).await);

    // The certificate without its key.
    let renewed = make("localhost", Some(&new_ca));
    write(site.dir.path(), "server.pem", renewed.certificate.pem());
    let error = site.tls.reload().unwrap_err().to_string();
    let [key, certificate] =
        ["server.key", "server.pem"].map(|name| site.dir.path().join(name).display().to_string());
    let told = format!("the key in {key} is not that of the certificate in {certificate}");
    assert_eq!(error, told);
    assert!(trusts(&site.ca).await && !trusts(&new_ca).await);
    write(site.dir.path(), "server.key", "no key");
    assert!(site.tls.reload().is_err());
    assert!(trusts(&site.ca).await);

    write_server(site.dir.path(), &renewed);
    site.tls.reload().unwrap();
    assert!(!trusts(&site.ca).await && trusts(&new_ca).await);
}

#[tokio::test]
async fn a_list_that_is_emptied_revokes_its_last_client_and_a_broken_one_does_not() {
    let known = make("teku", None);
    let line = format!("teku {}\n", known.fingerprint());
    let site = Site::start(|dir, _| ClientRules {
        known_clients: Some(write(dir, "known.txt", &line)),
        ..ClientRules::default()
    })
    .await;
    let list = site.dir.path().join("known.txt");

    fs::remove_file(&list).unwrap();
    assert!(site.tls.reload().is_err());
    write(site.dir.path(), "known.txt", "teku no fingerprint\n");
    assert!(site.tls.reload().is_err());
    assert!(site.upcheck(Some(&known)).await.is_ok());

    write(site.dir.path(), "known.txt", "# nobody at the moment\n\n");
    site.tls.reload().unwrap();
    assert!(site.upcheck(Some(&known)).await.is_err());
    assert!(site.upcheck(None).await.is_err());

    fs::write(&list, line).unwrap();
    site.tls.reload().unwrap();
    assert!(site.upcheck(Some(&known)).await.is_ok());
}

#[tokio::test]
async fn beside_a_list_that_is_empty_from_the_start_the_ca_counts() {
    let site = Site::start(|dir, ca| ClientRules {
        known_clients: Some(write(dir, "known.txt", "# nobody yet\n")),
        ca: Some(write(dir, "ca.pem", ca.certificate.pem())),
        without_certificate: false,
    })
    .await;
    assert!(site.upcheck(Some(&make("teku", Some(&site.ca)))).await.is_ok());
    assert!(site.upcheck(Some(&make("teku", None))).await.is_err());

    let identity = IdentityFiles::Pem {
        certificate: site.dir.path().join("server.pem"),
        key: site.dir.path().join("server.key"),
    };
    let clients = ClientRules {
        known_clients: Some(site.dir.path().join("known.txt")),
        ..ClientRules::default()
    };
    let refused = ServerTls::open(TlsFiles { identity, clients }).unwrap_err().to_string();
    assert!(refused.contains("known.txt lists no client"), "{refused}");
}

#[tokio::test]
async fn changed_files_are_noticed() {
    let site = Site::start(|_, _| anybody()).await;
    let watch = tokio::spawn(site.tls.clone().watch());
    let new_ca = make("new ca", None);
    write_server(site.dir.path(), &make("localhost", Some(&new_ca)));
    let noticed = async {
        while upcheck(site.address, new_ca.certificate.der(), None, &version::TLS13).await.is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::server::PATIENCE, noticed).await.unwrap();
    watch.abort();
}

#[tokio::test]
async fn a_client_that_is_silent_in_its_handshake_holds_up_nobody() {
    let site = Site::start(|_, _| anybody()).await;
    let mut silent = Vec::new();
    for first in 0..64 {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        if first % 2 == 0 {
            // The beginning of a handshake record.
            stream.write_all(&[0x16, 0x03, 0x01, 0x02]).await.unwrap();
        }
        silent.push(stream);
    }
    assert!(site.upcheck(None).await.is_ok());
}
