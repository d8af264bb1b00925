//! Which files hold keys, in a fixed order: key configuration files by name and their documents in
//! order, then keystores by name. Of a key that is there twice, the first counts.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use threshold::data_dir::files;
use zeroize::Zeroizing;

use super::key_config::{self, KeyConfig, MAX_CONFIG_BYTES};

/// Where to look.
#[derive(Debug, Clone)]
pub struct Places {
    /// Directory of Web3Signer's YAML files.
    pub config_dir: PathBuf,
    /// Whether that directory has to exist.
    pub config_dir_required: bool,
    /// Keystores without YAML files.
    pub keystores: Option<Keystores>,
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.config_dir.display())?;
        if let Some(keystores) = &self.keystores {
            write!(f, " and {}", keystores.dir.display())?;
        }
        Ok(())
    }
}

/// A directory of keystores, each opened with its password.
#[derive(Debug, Clone)]
pub struct Keystores {
    /// Directory of `NAME.json`.
    pub dir: PathBuf,
    /// Where the passwords are.
    pub passwords: Passwords,
}

/// Where the passwords of a directory of keystores are.
#[derive(Debug, Clone)]
pub enum Passwords {
    /// Directory of `NAME.txt`, one for each `NAME.json`.
    Dir(PathBuf),
    /// One file for all.
    File(PathBuf),
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A `file-raw` document.
    Raw {
        /// The YAML file.
        config: PathBuf,
        /// Which document, from 0.
        document: usize,
    },
    /// A `file-keystore` document.
    Keystore {
        /// The YAML file.
        config: PathBuf,
        /// Which document, from 0.
        document: usize,
        /// Whether it is the file's only one.
        alone: bool,
        /// The keystore.
        keystore: PathBuf,
        /// The file whose first line is the password.
        password: PathBuf,
    },
    /// A keystore of the keystore directory.
    Bulk {
        /// The keystore.
        keystore: PathBuf,
        /// The file of its password.
        password: PathBuf,
        /// Whether the password is that of all keystores.
        shared_password: bool,
    },
}

/// The two ways in which keys are given; health has a check for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// YAML files.
    ConfigFiles,
    /// A directory of keystores.
    BulkKeystores,
}

impl Source {
    /// Which way the key is given.
    #[must_use]
    pub const fn way(&self) -> Way {
        match self {
            Self::Raw { .. } | Self::Keystore { .. } => Way::ConfigFiles,
            Self::Bulk { .. } => Way::BulkKeystores,
        }
    }

    /// Whether the key cannot be removed while the program runs: raw keys, as in Web3Signer, and
    /// documents that share their file with others.
    #[must_use]
    pub const fn is_readonly(&self) -> bool {
        match self {
            Self::Raw { .. } => true,
            Self::Keystore { alone, .. } => !*alone,
            Self::Bulk { .. } => false,
        }
    }
}

impl Source {
    /// The file with which the key is there.
    pub(super) fn main_file(&self) -> &Path {
        match self {
            Self::Raw { config, .. } | Self::Keystore { config, .. } => config,
            Self::Bulk { keystore, .. } => keystore,
        }
    }

    /// Its keystore; a raw key has none.
    pub(super) fn keystore(&self) -> Option<&Path> {
        match self {
            Self::Raw { .. } => None,
            Self::Keystore { keystore, .. } | Self::Bulk { keystore, .. } => Some(keystore),
        }
    }

    /// The file that gives the secret to whoever reads it, with the keystore if there is one.
    pub(super) fn bare_secret(&self) -> &Path {
        match self {
            Self::Raw { config, .. } => config,
            Self::Keystore { password, .. } | Self::Bulk { password, .. } => password,
        }
    }

    /// The other files that hold its secret, or what opens it.
    pub(super) fn secret_files(&self) -> Vec<&Path> {
        match self {
            Self::Raw { .. } | Self::Bulk { shared_password: true, .. } => Vec::new(),
            Self::Keystore { keystore, password, .. } => vec![keystore, password],
            Self::Bulk { password, shared_password: false, .. } => vec![password],
        }
    }

    /// The files without which the key is not there.
    pub(super) fn files(&self) -> Vec<&Path> {
        match self {
            Self::Raw { config, .. } => vec![config],
            Self::Keystore { config, keystore, password, .. } => vec![config, keystore, password],
            Self::Bulk { keystore, password, .. } => vec![keystore, password],
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw { config, document } | Self::Keystore { config, document, .. } => {
                write!(f, "{}", config.display())?;
                if *document > 0 {
                    write!(f, ", document {}", document + 1)?;
                }
                Ok(())
            }
            Self::Bulk { keystore, .. } => write!(f, "{}", keystore.display()),
        }
    }
}

/// A key that a file promises.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) source: Source,
    /// The secret, of a raw key.
    pub(super) raw: Option<Zeroizing<[u8; 32]>>,
}

/// A file, or a document of one, that gives no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadFile {
    pub(super) way: Way,
    pub(super) reason: String,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) candidates: Vec<Candidate>,
    pub(super) bad: Vec<BadFile>,
    /// Those of the bad files that cannot be read now, so that nothing is known of their keys.
    pub(super) unread: Vec<PathBuf>,
}

/// Whether a file that could not be read may say the same as ever when it can be: it is there, but the
/// disk, the network or the permissions do not give it. A directory in its place is no such file.
pub(super) fn may_pass(error: &files::ReadError) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    match error {
        files::ReadError::Io(error) => {
            !matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
        }
        files::ReadError::TooLarge { .. } => false,
    }
}

/// A directory cannot be listed, so that nothing is known of its keys.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the {what} in {}", dir.display())]
pub struct ScanError {
    what: &'static str,
    dir: PathBuf,
    #[source]
    source: io::Error,
}

/// Looks for keys. Small files are read, no keystore is opened.
///
/// # Errors
/// A directory cannot be listed.
pub(super) fn scan(places: &Places) -> Result<Scan, ScanError> {
    let mut scan = Scan::default();
    match list(&places.config_dir, &["yaml", "yml"]) {
        Ok(files) => files.iter().for_each(|file| scan.config_file(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !places.config_dir_required => {}
        Err(source) => {
            let (what, dir) = ("key configuration files (--key-config-path)", &places.config_dir);
            return Err(ScanError { what, dir: dir.clone(), source });
        }
    }
    if let Some(keystores) = &places.keystores {
        let files = list(&keystores.dir, &["json"]).map_err(|source| ScanError {
            what: "keystores (--keystores-path)",
            dir: keystores.dir.clone(),
            source,
        })?;
        scan.candidates.extend(files.into_iter().map(|keystore| bulk(keystore, keystores)));
    }
    Ok(scan)
}

impl Scan {
    fn config_file(&mut self, path: &Path) {
        let content = match files::read_bounded(path, MAX_CONFIG_BYTES) {
            Ok(content) => content,
            // Gone since it was listed: as if it had been gone before.
            Err(files::ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                if may_pass(&error) {
                    self.unread.push(path.to_owned());
                }
                return self.bad_config(path, 0, &crate::error::chain(&error));
            }
        };
        let Ok(text) = std::str::from_utf8(&content) else {
            return self.bad_config(path, 0, "not UTF-8 text");
        };
        let documents = key_config::parse(text);
        if documents.is_empty() {
            return self.bad_config(path, 0, "no key in it");
        }
        let alone = documents.len() == 1;
        for (document, parsed) in documents.into_iter().enumerate() {
            let config = path.to_owned();
            match parsed {
                Ok(KeyConfig::Raw { secret }) => self.candidates.push(Candidate {
                    source: Source::Raw { config, document },
                    raw: Some(secret),
                }),
                Ok(KeyConfig::Keystore { keystore, password }) => {
                    let beside = path.parent().unwrap_or_else(|| Path::new(""));
                    let source = Source::Keystore {
                        config,
                        document,
                        alone,
                        keystore: beside.join(keystore),
                        password: beside.join(password),
                    };
                    self.candidates.push(Candidate { source, raw: None });
                }
                Err(error) => self.bad_config(path, document, &error.to_string()),
            }
        }
    }

    fn bad_config(&mut self, path: &Path, document: usize, reason: &str) {
        let place = Source::Raw { config: path.to_owned(), document };
        self.bad.push(BadFile { way: Way::ConfigFiles, reason: format!("{place}: {reason}") });
    }
}

fn bulk(keystore: PathBuf, keystores: &Keystores) -> Candidate {
    let (password, shared_password) = match &keystores.passwords {
        Passwords::File(file) => (file.clone(), true),
        Passwords::Dir(dir) => {
            let mut name = keystore.file_stem().unwrap_or_default().to_owned();
            name.push(".txt");
            (dir.join(name), false)
        }
    };
    Candidate { source: Source::Bulk { keystore, password, shared_password }, raw: None }
}

/// The files of a directory with one of the extensions, by name, without hidden ones.
fn list(dir: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let extension = path.extension().and_then(|extension| extension.to_str());
        let wanted = extension.is_some_and(|found| {
            extensions.iter().any(|wanted| found.eq_ignore_ascii_case(wanted))
        });
        // Not the entry's own type: a link to a file is one.
        if wanted && !hidden && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(dir: &Path) -> Places {
        Places { config_dir: dir.to_owned(), config_dir_required: true, keystores: None }
    }

    #[test]
    fn yaml_files_are_found_by_name_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let raw = format!("type: file-raw\nprivateKey: {}\n", "01".repeat(32));
        for name in ["b.yaml", "a.yml", "C.YAML"] {
            fs::write(dir.path().join(name), &raw).unwrap();
        }
        for name in [".hidden.yaml", "a.json", "yaml", "a.yaml.bak"] {
            fs::write(dir.path().join(name), "nonsense").unwrap();
        }
        fs::create_dir(dir.path().join("dir.yaml")).unwrap();
        let scan = scan(&places(dir.path())).unwrap();
        assert_eq!(scan.bad, []);
        let found: Vec<_> = scan
            .candidates
            .iter()
            .map(|candidate| candidate.source.to_string().replace(dir.path().to_str().unwrap(), ""))
            .collect();
        assert_eq!(found, ["/C.YAML", "/a.yml", "/b.yaml"]);
    }

    #[test]
    fn paths_in_a_config_file_are_relative_to_it_and_bad_documents_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.yaml");
        fs::write(
            &path,
            "type: file-keystore\nkeystoreFile: k/a.json\nkeystorePasswordFile: /p/a.txt\n---\n\
             type: hashicorp\n",
        )
        .unwrap();
        fs::write(dir.path().join("empty.yaml"), "").unwrap();
        fs::write(dir.path().join("latin1.yaml"), [0xe9]).unwrap();
        let scan = scan(&places(dir.path())).unwrap();
        let sources: Vec<_> = scan.candidates.into_iter().map(|c| c.source).collect();
        assert_eq!(
            sources,
            [Source::Keystore {
                config: path,
                document: 0,
                alone: false,
                keystore: dir.path().join("k/a.json"),
                password: "/p/a.txt".into(),
            }]
        );
        let reasons: Vec<_> = scan.bad.iter().map(|bad| bad.reason.as_str()).collect();
        assert_eq!(reasons.len(), 3);
        assert!(reasons[0].ends_with("/empty.yaml: no key in it"), "{reasons:?}");
        assert!(reasons[1].contains("/keys.yaml, document 2: type \"hashicorp\" is not supported"));
        assert!(reasons[2].ends_with("/latin1.yaml: not UTF-8 text"), "{reasons:?}");
    }

    #[test]
    fn a_missing_directory_is_an_error_only_if_it_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("keys");
        let error = scan(&places(&missing)).unwrap_err().to_string();
        assert!(error.starts_with("cannot list the key configuration files"), "{error}");
        let places = Places { config_dir_required: false, ..places(&missing) };
        assert!(scan(&places).unwrap().candidates.is_empty());
        let keystores = Keystores { dir: missing.clone(), passwords: Passwords::Dir(missing) };
        assert!(scan(&Places { keystores: Some(keystores), ..places }).is_err());
    }

    #[test]
    fn each_keystore_of_a_directory_has_the_password_of_its_name_or_the_one_for_all() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.b.json"), "").unwrap();
        let of = |passwords: Passwords| {
            let keystores = Keystores { dir: dir.path().to_owned(), passwords };
            let places = Places { keystores: Some(keystores), ..places(dir.path()) };
            match scan(&places).unwrap().candidates.remove(0).source {
                Source::Bulk { password, shared_password, .. } => (password, shared_password),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of(Passwords::Dir("/p".into())), ("/p/a.b.txt".into(), false));
        assert_eq!(of(Passwords::File("/p/all".into())), ("/p/all".into(), true));
    }
}
