// The nodes under test: `synod run` processes, one `synod standalone`, or stand-ins with the same handles.
import {execFileSync} from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import {peerIdOfEnr} from "./enr.mjs";
import {startStub, waitForSigners} from "./signers.mjs";
import {checkPortFree, freePort} from "./util.mjs";

// Digits only: an address without letters is its own EIP-55 checksum.
const ADDRESS = "0x" + "11".repeat(20);

/**
 * Starts, crashes and restarts nodes. `startNode(i)` starts the process of node i and returns it; `ports[i].http` is
 * where its HTTP API is.
 */
class ClusterNodes {
  #startNode;
  #running = [];

  constructor({ports, processes, network, startNode}) {
    Object.assign(this, {ports, processes, network});
    this.urls = ports.map((p) => `http://127.0.0.1:${p.http}`);
    this.#startNode = startNode;
  }

  async startAll() {
    for (let i = 0; i < this.urls.length; i++) this.#running[i] = await this.#startNode(i);
    await waitForSigners(this.urls, {processes: this.processes, expected: this.network.externalPubkeys, prefix: "node"});
  }

  /** kill -9. */
  async crash(i) {
    await this.#running[i].kill();
  }

  async restart(i) {
    this.#running[i] = await this.#startNode(i);
    await waitForSigners([this.urls[i]], {processes: this.processes, expected: this.network.externalPubkeys, prefix: "node"});
  }

  /** How each node's last process ended: [{code, signal}]; to be asked for after all were stopped. */
  exits() {
    return this.#running.map((p) => p.exited);
  }
}

/** Ports of n nodes: {http, p2p, metrics} each, from `base`, base + 100 and base + 200 on; any free ones with base 0. */
export async function choosePorts(n, base) {
  const ports = [];
  for (let i = 0; i < n; i++) {
    if (base === 0) {
      ports.push({http: await freePort(), p2p: await freePort(), metrics: await freePort()});
    } else {
      ports.push({http: base + i, p2p: base + 100 + i, metrics: base + 200 + i});
      for (const port of Object.values(ports[i])) await checkPortFree(port);
    }
  }
  return ports;
}

/**
 * Splits the devnet's keys among n nodes with `synod create cluster` (into OUT/cluster/node0..) and starts them.
 * ports: of choosePorts.
 */
export async function startSynodCluster({synod, threshold, ports, network, processes, out, say}) {
  const clusterDir = path.join(out, "cluster");
  const chain = chainArguments(network);
  fs.rmSync(clusterDir, {recursive: true, force: true});
  const started = Date.now();
  // Insecure keystores: sixteen keys in four shares each would take minutes of key derivation otherwise.
  runSynod(synod, out, [
    "create", "cluster", "--nodes", `${ports.length}`, "--threshold", `${threshold}`,
    "--split-existing-keys", "--split-keys-dir", network.keysDir, "--insecure-keys", ...chain,
    "--withdrawal-addresses", ADDRESS, "--fee-recipient-addresses", ADDRESS, "--cluster-dir", clusterDir,
  ]);
  const dataDir = (i) => path.join(clusterDir, `node${i}`);
  const lock = JSON.parse(fs.readFileSync(path.join(dataDir(0), "cluster-lock.json"), "utf8"));
  const peers = lock.cluster_definition.operators.map((o, i) => `/ip4/127.0.0.1/tcp/${ports[i].p2p}/p2p/${peerIdOfEnr(o.enr)}`);
  say(`cluster of ${ports.length} nodes made in ${((Date.now() - started) / 1000).toFixed(1)} s`);

  const startNode = (i) => processes.start(`node${i}`, synod, [
    "run", "--data-dir", dataDir(i),
    "--http-listen-host", "127.0.0.1", "--http-listen-port", `${ports[i].http}`,
    "--metrics-host", "127.0.0.1", "--metrics-port", `${ports[i].metrics}`,
    "--p2p-tcp-address", `127.0.0.1:${ports[i].p2p}`, "--p2p-peers", peers.join(","), ...chain,
  ]);
  const nodes = new ClusterNodes({ports, processes, network, startNode});
  await nodes.startAll();
  nodes.databases = ports.map((_, i) => path.join(dataDir(i), "slashing-protection.sqlite"));
  return nodes;
}

/** Starts one `synod standalone` with the devnet's whole keys (its files in OUT/standalone). ports: of choosePorts, one. */
export async function startStandalone({synod, ports, network, processes, out}) {
  const dataDir = path.join(out, "standalone");
  fs.rmSync(dataDir, {recursive: true, force: true});
  const startNode = () => processes.start("node0", synod, [
    "standalone", "--data-dir", dataDir, ...chainArguments(network),
    "--keystores-path", path.join(network.keysDir, "keystores"), "--keystores-passwords-path", path.join(network.keysDir, "passwords"),
    "--http-listen-host", "127.0.0.1", "--http-listen-port", `${ports[0].http}`,
    "--metrics-enabled=true", "--metrics-host", "127.0.0.1", "--metrics-port", `${ports[0].metrics}`,
  ]);
  const nodes = new ClusterNodes({ports, processes, network, startNode});
  await nodes.startAll();
  nodes.databases = [path.join(dataDir, "slashing-protection.sqlite")];
  return nodes;
}

/** The chain, for a program that does not know it. */
function chainArguments(network) {
  return ["--network", network.configYamlFile, "--genesis-validators-root", network.genesisValidatorsRoot, "--genesis-time", `${network.genesisTime}`];
}

/** Stand-ins in place of the nodes: each has the whole keys, and a directory they share makes them sign as one. */
export async function startStubCluster({ports, network, processes, out}) {
  const shared = path.join(out, "signed-first");
  fs.rmSync(shared, {recursive: true, force: true});
  fs.mkdirSync(shared);
  const startNode = async (i) => {
    await startStub({name: `node${i}`, processes, network, out, port: ports[i].http, args: ["--protect-dir", shared]});
    return processes.named(`node${i}`).at(-1);
  };
  const nodes = new ClusterNodes({ports, processes, network, startNode});
  await nodes.startAll();
  nodes.databases = null;
  return nodes;
}

/** Runs a command of synod to its end; its output goes to OUT/synod-COMMAND.log. */
function runSynod(synod, out, args) {
  const name = args.slice(0, 2).join("-");
  const log = fs.openSync(path.join(out, `synod-${name}.log`), "w");
  try {
    execFileSync(synod, args, {stdio: ["ignore", log, log], timeout: 120_000});
  } catch (e) {
    const said = fs.readFileSync(path.join(out, `synod-${name}.log`), "utf8").trim().slice(-600);
    throw Error(`synod ${args.slice(0, 2).join(" ")} failed (${e.code ?? e.signal ?? `status ${e.status}`}): ${said}`);
  } finally {
    fs.closeSync(log);
  }
}
