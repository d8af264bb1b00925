//! The options of TLS, and which of them belong together.

use std::path::PathBuf;

use clap::Args;

use crate::tls::{ClientRules, IdentityFiles, TlsFiles};

/// TLS of the HTTP interface. Names are Web3Signer's, and PEM and a CA file beyond.
///
/// As with Web3Signer, TLS without a rule for client certificates has to be asked for by name
/// (`--tls-allow-any-client`).
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// Serve HTTPS with the certificate and key in this PKCS#12 file.
    #[arg(long, value_name = "FILE")]
    pub tls_keystore_file: Option<PathBuf>,

    /// The password of the PKCS#12 file: the first line of this file.
    #[arg(long, value_name = "FILE")]
    pub tls_keystore_password_file: Option<PathBuf>,

    /// Serve HTTPS with this certificate (PEM), followed in the file by those of its issuers.
    #[arg(long, value_name = "FILE")]
    pub tls_certificate_file: Option<PathBuf>,

    /// The key of the certificate (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,

    /// Admit clients without a certificate. One that is presented all the same is still checked if
    /// there is a rule to check it by.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub tls_allow_any_client: bool,

    /// Admit clients whose certificate is in this file: lines of common name and SHA-256 fingerprint.
    #[arg(long, value_name = "FILE")]
    pub tls_known_clients_file: Option<PathBuf>,

    /// Admit clients whose certificate a CA of --tls-client-ca-file has signed.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        default_missing_value = "true"
    )]
    pub tls_allow_ca_clients: Option<bool>,

    /// The CAs (PEM) whose clients are admitted; turns --tls-allow-ca-clients on.
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca_file: Option<PathBuf>,
}

/// The TLS options do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsArgsError {
    /// One option needs another.
    #[error("{given} needs {missing} beside it")]
    Missing {
        /// The option that was given.
        given: &'static str,
        /// The option that is missing.
        missing: &'static str,
    },
    /// Two certificates.
    #[error(
        "--tls-keystore-file and --tls-certificate-file both name the server's certificate: give one of \
         them"
    )]
    TwoIdentities,
    /// An option of TLS without TLS.
    #[error(
        "{given} has no effect without TLS: give --tls-certificate-file and --tls-key-file, or \
         --tls-keystore-file and --tls-keystore-password-file"
    )]
    NoIdentity {
        /// The option that was given.
        given: &'static str,
    },
    /// A CA whose clients are not admitted.
    #[error(
        "--tls-client-ca-file admits the clients of its CAs, and --tls-allow-ca-clients is false: leave one \
         of them out"
    )]
    CaClientsRefused,
    /// Nothing says which clients are admitted.
    #[error(
        "TLS needs to know its clients: give --tls-known-clients-file or --tls-client-ca-file, or \
         --tls-allow-any-client to admit clients without a certificate"
    )]
    NoClientRule,
}

impl TlsArgs {
    /// What to read for TLS; `None` without it.
    ///
    /// # Errors
    /// See [`TlsArgsError`].
    pub fn files(&self) -> Result<Option<TlsFiles>, TlsArgsError> {
        let Some(identity) = self.identity()? else {
            return match self.client_option() {
                Some(given) => Err(TlsArgsError::NoIdentity { given }),
                None => Ok(None),
            };
        };
        match (self.tls_allow_ca_clients, &self.tls_client_ca_file) {
            // Web3Signer takes the JVM's CAs here, which would admit anybody with a domain name.
            (Some(true), None) => {
                return Err(TlsArgsError::Missing {
                    given: "--tls-allow-ca-clients",
                    missing: "--tls-client-ca-file",
                });
            }
            (Some(false), Some(_)) => return Err(TlsArgsError::CaClientsRefused),
            _ => {}
        }
        let clients = ClientRules {
            known_clients: self.tls_known_clients_file.clone(),
            ca: self.tls_client_ca_file.clone(),
            without_certificate: self.tls_allow_any_client,
        };
        if clients.known_clients.is_none() && clients.ca.is_none() && !clients.without_certificate {
            return Err(TlsArgsError::NoClientRule);
        }
        Ok(Some(TlsFiles { identity, clients }))
    }

    fn identity(&self) -> Result<Option<IdentityFiles>, TlsArgsError> {
        let missing = |given, missing| Err(TlsArgsError::Missing { given, missing });
        let pkcs12 = match (&self.tls_keystore_file, &self.tls_keystore_password_file) {
            (None, None) => None,
            (Some(keystore), Some(password)) => Some(IdentityFiles::Pkcs12 {
                keystore: keystore.clone(),
                password: password.clone(),
            }),
            (Some(_), None) => {
                return missing("--tls-keystore-file", "--tls-keystore-password-file");
            }
            (None, Some(_)) => {
                return missing("--tls-keystore-password-file", "--tls-keystore-file");
            }
        };
        let pem = match (&self.tls_certificate_file, &self.tls_key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some(IdentityFiles::Pem { certificate: certificate.clone(), key: key.clone() })
            }
            (Some(_), None) => return missing("--tls-certificate-file", "--tls-key-file"),
            (None, Some(_)) => return missing("--tls-key-file", "--tls-certificate-file"),
        };
        match (pkcs12, pem) {
            (Some(_), Some(_)) => Err(TlsArgsError::TwoIdentities),
            (pkcs12, pem) => Ok(pkcs12.or(pem)),
        }
    }

    fn client_option(&self) -> Option<&'static str> {
        [
            (self.tls_allow_any_client, "--tls-allow-any-client"),
            (self.tls_known_clients_file.is_some(), "--tls-known-clients-file"),
            (self.tls_allow_ca_clients == Some(true), "--tls-allow-ca-clients"),
            (self.tls_client_ca_file.is_some(), "--tls-client-ca-file"),
        ]
        .into_iter()
        .find_map(|(given, option)| given.then_some(option))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(options: &[&str]) -> TlsArgs {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            tls: TlsArgs,
        }
        let words = std::iter::once("synod").chain(options.iter().copied());
        <Command as clap::Parser>::parse_from(words).tls
    }

    #[test]
    fn without_options_there_is_no_tls() {
        assert_eq!(args(&[]).files(), Ok(None));
    }

    #[test]
    fn web3signers_options_are_a_pkcs12_file_and_rules_for_clients() {
        let files = args(&[
            "--tls-keystore-file=server.p12",
            "--tls-keystore-password-file=password.txt",
            "--tls-known-clients-file=known.txt",
            "--tls-allow-any-client=false",
        ]);
        let identity = IdentityFiles::Pkcs12 {
            keystore: "server.p12".into(),
            password: "password.txt".into(),
        };
        let clients = ClientRules {
            known_clients: Some("known.txt".into()),
            ca: None,
            without_certificate: false,
        };
        assert_eq!(files.files(), Ok(Some(TlsFiles { identity, clients })));
    }

    #[test]
    fn half_of_a_pair_names_the_other_half() {
        let pem = ["--tls-certificate-file=c", "--tls-key-file=k"];
        let cases: &[(&[&str], &str)] = &[
            (&pem[..1], "--tls-certificate-file needs --tls-key-file beside it"),
            (&pem[1..], "--tls-key-file needs --tls-certificate-file beside it"),
            (
                &["--tls-keystore-file=k"],
                "--tls-keystore-file needs --tls-keystore-password-file beside it",
            ),
            (
                &[pem[0], pem[1], "--tls-allow-ca-clients"],
                "--tls-allow-ca-clients needs --tls-client-ca-file beside it",
            ),
        ];
        for (options, text) in cases {
            assert_eq!(args(options).files().unwrap_err().to_string(), *text, "{options:?}");
        }
        assert_eq!(args(&pem).files(), Err(TlsArgsError::NoClientRule));
        let given = "--tls-client-ca-file";
        let given_ca = "--tls-client-ca-file=c";
        assert_eq!(args(&[given_ca]).files(), Err(TlsArgsError::NoIdentity { given }));
        let refused = [pem[0], pem[1], given_ca, "--tls-allow-ca-clients=false"];
        assert_eq!(args(&refused).files(), Err(TlsArgsError::CaClientsRefused));
        let two = [pem[0], pem[1], "--tls-keystore-file=k", "--tls-keystore-password-file=p"];
        assert_eq!(args(&two).files(), Err(TlsArgsError::TwoIdentities));
    }
}
