//! A signer with whole keys as a process, and the files that its keys are in.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use eth_types::PublicKey;
use hyper::Method;
use serde_json::Value;
use tempfile::TempDir;
use threshold_protocol::bls::SecretKey;

use crate::http::{self, Answer};
use crate::wire::Connection;
use crate::{Ask, Chain, Process, Program, scratch_dir};

/// A signer, running or not, with a directory of its own.
#[derive(Debug)]
pub struct Standalone {
    program: Program,
    dir: TempDir,
    chain: Chain,
    more_options: Vec<String>,
    process: Option<Process>,
    http: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
}

impl Standalone {
    /// Makes the directory; nothing is started. Key configuration files go into [`Self::keys`].
    ///
    /// # Panics
    /// There is no room for files.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        Self::on(program, Chain::numbered(9))
    }

    /// As [`Self::new`], on another chain.
    ///
    /// # Panics
    /// There is no room for files.
    #[must_use]
    pub fn on(program: &Program, chain: Chain) -> Self {
        let dir = tempfile::tempdir_in(scratch_dir()).unwrap();
        chain.write_config(&dir.path().join("chain.yaml"));
        fs::create_dir(dir.path().join("keys")).unwrap();
        Self {
            program: program.clone(),
            dir,
            chain,
            more_options: Vec::new(),
            process: None,
            http: None,
            metrics: None,
        }
    }

    /// Gives it one more option from the next start on.
    pub fn option(&mut self, option: impl Into<String>) {
        self.more_options.push(option.into());
    }

    /// Takes back what [`Self::option`] gave last.
    pub fn drop_option(&mut self) {
        self.more_options.pop();
    }

    /// The chain that it signs for.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// A path in its data directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path in its directory of key configuration files.
    #[must_use]
    pub fn keys(&self, name: &str) -> PathBuf {
        self.path("keys").join(name)
    }

    /// What it is started with.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let mut options = vec![
            "standalone".into(),
            format!("--data-path={}", self.dir.path().display()),
            "--http-listen-port=0".into(),
            "--metrics-port=0".into(),
        ];
        options.extend(self.chain.options(&self.path("chain.yaml")));
        options.extend(self.more_options.iter().cloned());
        options
    }

    /// Starts it and waits until it answers; keys may be loading still.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn start(&mut self) {
        let mut command = self.program.command();
        command.args(self.options());
        self.start_command(command).await;
    }

    /// Starts another command in its place and waits until it answers.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn start_command(&mut self, mut command: Command) {
        command.stdout(Stdio::null());
        let mut process = Process::start(command);
        let signing = process.logged(|line| {
            let http = field(line, "http").filter(|_| line.contains("signing"))?;
            Some((http, field(line, "metrics")))
        });
        let (http, metrics) = signing.await;
        self.http = Some(http.parse().unwrap());
        self.metrics = metrics.map(|address| address.parse().unwrap());
        self.process = Some(process);
    }

    /// Starts it and waits until its keys are loaded.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn start_loaded(&mut self) -> Loaded {
        self.start().await;
        self.loaded().await
    }

    /// Waits until its keys are loaded for the first time, and says what it logged of that.
    ///
    /// # Panics
    /// It is not running, or they are not loaded.
    pub async fn loaded(&mut self) -> Loaded {
        let process = self.process.as_mut().unwrap();
        process.logged(|line| line.contains("keys loaded").then(|| Loaded::of(line))).await
    }

    /// Kills it at once.
    ///
    /// # Panics
    /// It is not running.
    pub fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// Asks it to stop and waits for that.
    ///
    /// # Panics
    /// It is not running, or does not end well.
    pub fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.terminate();
        assert!(process.wait().success(), "{}", process.log());
    }

    /// What it has logged since it was started.
    ///
    /// # Panics
    /// It is not running.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().unwrap().log()
    }

    /// Where it listens.
    ///
    /// # Panics
    /// It was not started.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http.unwrap()
    }

    /// Where its figures are.
    ///
    /// # Panics
    /// It was not started, or without figures.
    #[must_use]
    pub fn metrics(&self) -> SocketAddr {
        self.metrics.unwrap()
    }

    /// A connection to it that is kept.
    ///
    /// # Panics
    /// It does not run.
    pub async fn connect(&self) -> Connection {
        Connection::open(self.http()).await
    }

    /// Asks it for a signature.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn ask(&self, key: &PublicKey, ask: &Ask) -> Answer {
        http::sign(self.http(), key, ask.text()).await.unwrap()
    }

    /// Gets a path.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn get(&self, path: &str) -> Answer {
        http::get(self.http(), path).await.unwrap()
    }

    /// Gets a path and reads the answer, whatever its status, as JSON.
    ///
    /// # Panics
    /// There is no answer, or it is not JSON.
    pub async fn get_json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await.body).unwrap()
    }

    /// The keys that it lists.
    ///
    /// # Panics
    /// It lists none.
    pub async fn public_keys(&self) -> Vec<PublicKey> {
        let answer = self.get("/api/v1/eth2/publicKeys").await;
        assert!(answer.is_signed(), "{}: {}", answer.status, answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Reloads, waits until that is through, and returns its status.
    ///
    /// # Panics
    /// It is not accepted.
    pub async fn reload(&self) -> Value {
        let answer = http::request(Method::POST, self.http(), "/reload", String::new()).await;
        assert_eq!(answer.unwrap().status.as_u16(), 202);
        loop {
            let status = self.get_json("/reload").await;
            if status["status"] != "running" {
                return status;
            }
            tokio::time::sleep(crate::POLL).await;
        }
    }
}

/// What a signer logs when its keys are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Keys that can sign.
    pub keys: usize,
    /// Files that gave none.
    pub errors: usize,
    /// Keystores that were opened by their key derivation.
    pub derived: usize,
}

impl Loaded {
    fn of(line: &str) -> Self {
        let number = |name| field(line, name).unwrap().parse().unwrap();
        Self { keys: number("keys"), errors: number("errors"), derived: number("derived") }
    }
}

/// The value of `name=value` in a log line.
fn field(line: &str, name: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    words.find_map(|word| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// The key whose 32 bytes are all `number`.
///
/// # Panics
/// `number` is 0 or more than 115.
#[must_use]
pub fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).unwrap()
}

/// Writes a `file-raw` configuration with [`secret`] and returns the public key.
///
/// # Panics
/// The file cannot be written.
pub fn write_raw(path: &Path, number: u8) -> PublicKey {
    let hex = format!("{number:02x}").repeat(32);
    let yaml = format!("type: file-raw\nkeyType: BLS\nprivateKey: \"0x{hex}\"\n");
    fs::write(path, yaml).unwrap();
    secret(number).public_key()
}

/// Writes a `file-keystore` configuration.
///
/// # Panics
/// The file cannot be written.
pub fn write_keystore_config(path: &Path, keystore: &str, password: &str) {
    let yaml = format!(
        "type: file-keystore\nkeyType: BLS\nkeystoreFile: {keystore}\n\
         keystorePasswordFile: {password}\n"
    );
    fs::write(path, yaml).unwrap();
}
