//! A cluster of node processes, made by the program's own trusted dealer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

use eth_types::{ExecutionAddress, PublicKey};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::duties::FEE_RECIPIENT;
use crate::http::{self, Answer};
use crate::process::{Process, Program};
use crate::{Ask, Chain, PATIENCE, POLL, ports, scratch_dir};

/// One cluster runs at a time: two cores carry four nodes that are not optimised, and no more.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterBuilder {
    program: Program,
    chain: Chain,
    nodes: u8,
    validators: usize,
    fee_recipient: ExecutionAddress,
    split_keys: Option<PathBuf>,
    keeps_records: bool,
}

impl ClusterBuilder {
    /// Four nodes, three of which sign, with eight validators.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        Self {
            program: program.clone(),
            chain: Chain::numbered(0),
            nodes: 4,
            validators: 8,
            fee_recipient: FEE_RECIPIENT,
            split_keys: None,
            keeps_records: false,
        }
    }

    /// Another number of validators.
    #[must_use]
    pub fn validators(self, validators: usize) -> Self {
        Self { validators, ..self }
    }

    /// One validator for each keystore in a folder, in place of new ones.
    #[must_use]
    pub fn splitting(self, keystores: &Path) -> Self {
        Self { split_keys: Some(keystores.to_owned()), ..self }
    }

    /// Another fee recipient.
    #[must_use]
    pub fn fee_recipient(self, fee_recipient: ExecutionAddress) -> Self {
        Self { fee_recipient, ..self }
    }

    /// No node prunes old records: imported ones may be of more slots than are kept.
    #[must_use]
    pub fn keeping_all_records(self) -> Self {
        Self { keeps_records: true, ..self }
    }

    /// Another chain.
    #[must_use]
    pub fn chain(self, chain: Chain) -> Self {
        Self { chain, ..self }
    }

    /// Makes the cluster's files and starts no node.
    ///
    /// # Panics
    /// `synod create cluster` fails.
    #[must_use]
    pub fn create(self) -> ClusterFiles {
        let dir = tempfile::Builder::new().prefix("synod-test-").tempdir_in(scratch_dir()).unwrap();
        let config = dir.path().join("config.yaml");
        self.chain.write_config(&config);
        let p2p_port = ports::free_block(self.nodes.into());
        let mut args: Vec<String> = ["create", "cluster", "--insecure-keys"].map(Into::into).into();
        args.extend(self.chain.options(&config));
        match &self.split_keys {
            Some(dir) => args.extend([
                "--split-existing-keys".to_owned(),
                format!("--split-keys-dir={}", dir.display()),
            ]),
            None => args.push(format!("--num-validators={}", self.validators)),
        }
        let address = self.fee_recipient.to_string();
        let cluster_dir = dir.path().join("cluster").display().to_string();
        for (option, value) in [
            ("--nodes", self.nodes.to_string()),
            ("--withdrawal-addresses", address.clone()),
            ("--fee-recipient-addresses", address),
            ("--p2p-base-port", p2p_port.to_string()),
            ("--cluster-dir", cluster_dir),
        ] {
            args.extend([option.to_owned(), value]);
        }
        let made = self.program.run(args);
        assert_eq!(made.code, Some(0), "synod create cluster: {}", made.stderr);
        let keys = made.stdout.lines().filter_map(|line| line.trim().parse().ok()).collect();
        ClusterFiles {
            program: self.program,
            chain: self.chain,
            dir,
            p2p_port,
            keys,
            nodes: self.nodes,
            keeps_records: self.keeps_records,
        }
    }

    /// Makes the cluster and starts all nodes; returns when they are connected. Waits until no other
    /// cluster runs.
    ///
    /// # Panics
    /// The cluster cannot be made or does not come up.
    pub async fn start(self) -> Cluster {
        let turn = ONE_AT_A_TIME.lock().await;
        let files = self.create();
        let nodes = (0..usize::from(files.nodes)).map(|_| None).collect();
        let mut cluster = Cluster { nodes, files, _turn: turn };
        for node in 0..cluster.nodes.len() {
            cluster.launch(node);
        }
        for node in 0..cluster.nodes.len() {
            cluster.until_serving(node).await;
        }
        cluster.until_connected().await;
        cluster
    }
}

/// A cluster on disk.
#[derive(Debug)]
pub struct ClusterFiles {
    /// The program.
    pub program: Program,
    /// The chain.
    pub chain: Chain,
    /// The validators' public keys, in the lock's order.
    pub keys: Vec<PublicKey>,
    /// The port of node 0's links; the others have the next ones.
    pub p2p_port: u16,
    dir: TempDir,
    nodes: u8,
    keeps_records: bool,
}

impl ClusterFiles {
    /// The folder that holds the nodes' directories.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("cluster")
    }

    /// A node's data directory.
    #[must_use]
    pub fn data_dir(&self, node: usize) -> PathBuf {
        self.dir().join(format!("node{node}"))
    }

    /// The arguments of `synod run` for a node, with free ports for all but its links.
    #[must_use]
    pub fn run_args(&self, node: usize) -> Vec<String> {
        let mut args: Vec<String> = ["run", "--data-dir"].map(Into::into).into();
        args.push(self.data_dir(node).display().to_string());
        args.extend(
            ["--http-listen-port=0", "--metrics-port=0", "--log-format=json"].map(Into::into),
        );
        if self.keeps_records {
            args.push("--slashing-protection-pruning-enabled=false".into());
        }
        args
    }
}

/// A running cluster. Nodes that still run when this is dropped are killed.
#[derive(Debug)]
pub struct Cluster {
    // Before the files: the processes end first.
    nodes: Vec<Option<Node>>,
    files: ClusterFiles,
    _turn: MutexGuard<'static, ()>,
}

#[derive(Debug)]
struct Node {
    process: Process,
    http: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
}

impl Cluster {
    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.files.chain
    }

    /// The cluster on disk.
    #[must_use]
    pub fn files(&self) -> &ClusterFiles {
        &self.files
    }

    /// A validator's public key.
    #[must_use]
    pub fn key(&self, validator: usize) -> PublicKey {
        self.files.keys[validator]
    }

    /// A node's data directory.
    #[must_use]
    pub fn data_dir(&self, node: usize) -> PathBuf {
        self.files.data_dir(node)
    }

    /// The nodes that run.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).collect()
    }

    /// Where a node takes requests.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    #[track_caller]
    pub fn http(&self, node: usize) -> SocketAddr {
        self.node(node).http.unwrap()
    }

    /// What a node has logged so far, one JSON object a line.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    #[track_caller]
    pub fn log(&self, node: usize) -> String {
        self.node(node).process.log()
    }

    /// Asks a node for a signature.
    ///
    /// # Errors
    /// There was no answer.
    ///
    /// # Panics
    /// The node does not run, or does not answer at all.
    pub async fn try_ask(
        &self,
        node: usize,
        validator: usize,
        ask: &Ask,
    ) -> Result<Answer, String> {
        http::sign(self.http(node), &self.key(validator), ask.text()).await
    }

    /// As [`Self::try_ask`], of a node that has to answer.
    ///
    /// # Panics
    /// There was no answer.
    pub async fn ask(&self, node: usize, validator: usize, ask: &Ask) -> Answer {
        let answer = self.try_ask(node, validator, ask).await;
        answer.unwrap_or_else(|error| panic!("node {node} gives no answer: {error}"))
    }

    /// A node's figures, as Prometheus reads them.
    ///
    /// # Panics
    /// The node does not run, or does not answer.
    pub async fn metrics(&self, node: usize) -> String {
        let metrics = self.node(node).metrics.unwrap();
        http::get(metrics, "/metrics").await.unwrap().body
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// The node does not run.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].take().unwrap().process.kill();
    }

    /// Starts a node again, and returns when it takes requests and all running nodes are connected.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn restart(&mut self, node: usize) {
        self.launch(node);
        self.until_serving(node).await;
        self.until_connected().await;
    }

    /// SIGTERM, without waiting.
    ///
    /// # Panics
    /// The node does not run.
    pub fn terminate(&self, node: usize) {
        self.node(node).process.terminate();
    }

    /// Waits for the end of a node that was told to stop; its exit status and its whole log.
    ///
    /// # Panics
    /// It does not end.
    pub fn wait(&mut self, node: usize) -> (ExitStatus, String) {
        let mut node = self.nodes[node].take().unwrap();
        let status = node.process.wait();
        (status, node.process.log())
    }

    /// Stops all nodes in good order.
    ///
    /// # Panics
    /// One of them does not end well.
    pub fn stop(&mut self) {
        for node in self.running() {
            self.terminate(node);
        }
        for node in self.running() {
            let (status, log) = self.wait(node);
            assert!(status.success(), "node {node} ended with {status}: {log}");
        }
    }

    /// Starts a node's process.
    ///
    /// # Panics
    /// It runs already, or does not start.
    pub fn launch(&mut self, node: usize) {
        assert!(self.nodes[node].is_none(), "node {node} runs");
        let process = self.files.program.start(self.files.run_args(node));
        self.nodes[node] = Some(Node { process, http: None, metrics: None });
    }

    /// Waits until a node takes requests.
    ///
    /// # Panics
    /// It does not.
    pub async fn until_serving(&mut self, node: usize) {
        let node = self.nodes[node].as_mut().unwrap();
        let address = |line: &Value, field: &str| line[field].as_str()?.parse().ok();
        let (http, metrics) = node
            .process
            .logged(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                (line["message"] == "signing").then_some(())?;
                Some((address(&line, "http")?, address(&line, "metrics")?))
            })
            .await;
        (node.http, node.metrics) = (Some(http), Some(metrics));
    }

    /// Waits until the running nodes are all connected with each other, and with no other.
    ///
    /// # Panics
    /// They do not find each other.
    pub async fn until_connected(&self) {
        let running = self.running();
        for node in &running {
            self.until_connected_to(*node, running.len()).await;
        }
    }

    /// Waits until a node counts so many operators, itself included.
    ///
    /// # Panics
    /// It never does.
    pub async fn until_connected_to(&self, node: usize, operators: usize) {
        let begun = Instant::now();
        loop {
            let answer = http::get(self.http(node), "/healthcheck").await.unwrap();
            let health: Value = serde_json::from_str(&answer.body).unwrap();
            let checks = health["checks"].as_array().unwrap();
            let peers = checks.iter().find(|check| check["id"] == "peers-check").unwrap();
            if peers["data"]["connected"] == operators {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "node {node} is not connected with {operators}: {peers}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    #[track_caller]
    fn node(&self, node: usize) -> &Node {
        self.nodes[node].as_ref().unwrap_or_else(|| panic!("node {node} does not run"))
    }
}

/// A folder with everything in it, copied.
///
/// # Panics
/// It cannot be copied.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
