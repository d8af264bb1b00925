#!/usr/bin/env node
// Runs Synod under a private beacon chain: splits the devnet's keys into the nodes of a cluster, gives each node a
// validator client with all the validators (or runs one standalone node with the whole keys), and says whether the chain and the nodes' records are as they have to be.
// See README.md.
import fs from "node:fs";
import path from "node:path";
import {parseArgs} from "node:util";
import {shellAction} from "./lib/actions.mjs";
import {checkSignatures} from "./lib/check_signatures.mjs";
import {choosePorts, startStandalone, startStubCluster, startSynodCluster} from "./lib/cluster_nodes.mjs";
import {runDevnet} from "./lib/devnet.mjs";
import {loadEthereum} from "./lib/ethereum.mjs";
import {parseOptions} from "./lib/options.mjs";
import {readSigning} from "./lib/requests.mjs";
import {auditDatabases} from "./lib/slashing_audit.mjs";
import {readLines} from "./lib/util.mjs";
import {judge} from "./lib/verdict.mjs";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");

// After this slot a chain of the minimal preset has justified and finalised; shorter runs are not asked for it.
const FINALITY_BY_SLOT = 33;

// A node that was started again takes part from the next slot on; its client has tried in vain until then.
const SLOTS_TO_COME_BACK = 2;

// A request that a node was killed under began this much earlier at most.
const REQUEST_IN_FLIGHT_MS = 3000;

const USAGE = `cluster.sh [options] [-- options of run_devnet.sh]
  --synod PATH            the binary (default: target/release/synod of this repository, or $SYNOD)
  --stub                  stand-in signers instead of synod, to try the rest
  --standalone            one standalone node with the whole keys and one validator client, instead of a cluster
  --nodes N               nodes of the cluster (4)
  --threshold T           how many of them make a signature (3)
  --single-vc             one validator client, at node 0, for the whole cluster; the default is one per node
  --stop-one              kill -9 one node in mid-run and start it again later
  --stop-node I           which (1)
  --stop-at SLOT          when (a third through the run)
  --start-at SLOT         when it is started again (two thirds through the run)
  --slots N               slots to run (34)
  --seconds-per-slot S    (4)
  --validators N          (16)
  --tolerance X           share of blocks, votes and sync committee bits that may be missing, for a slow machine (0)
  --port-base P           HTTP ports from P, p2p from P+100, metrics from P+200; 0 for any free ports (9100)
  --out DIR               where everything goes (tests/devnet/out)
  --json                  print the whole summary on standard output`;

function parseCommandLine() {
  const {values} = parseArgs({
    args: cut(process.argv.slice(2))[0],
    options: {
      synod: {type: "string", default: process.env.SYNOD ?? path.join(REPOSITORY, "target/release/synod")},
      stub: {type: "boolean", default: false},
      standalone: {type: "boolean", default: false},
      nodes: {type: "string", default: "4"},
      threshold: {type: "string", default: "3"},
      "single-vc": {type: "boolean", default: false},
      "stop-one": {type: "boolean", default: false},
      "stop-node": {type: "string", default: "1"},
      "stop-at": {type: "string"},
      "start-at": {type: "string"},
      slots: {type: "string", default: "34"},
      "seconds-per-slot": {type: "string", default: "4"},
      validators: {type: "string", default: "16"},
      tolerance: {type: "string", default: "0"},
      "port-base": {type: "string", default: "9100"},
      out: {type: "string", default: path.join(import.meta.dirname, "out")},
      json: {type: "boolean", default: false},
      help: {type: "boolean", short: "h", default: false},
    },
  });
  return {...values, devnet: cut(process.argv.slice(2))[1]};
}

/** Arguments before and after a lone `--`. */
function cut(args) {
  const at = args.indexOf("--");
  return at < 0 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
}

async function main() {
  const own = parseCommandLine();
  if (own.help) {
    console.log(USAGE);
    return 0;
  }
  if (!own.stub && !fs.existsSync(own.synod)) throw Error(`no binary ${own.synod}: run cargo build --release --bin synod, or give --synod PATH`);
  const stop = plannedStop(own);
  if (own.standalone) Object.assign(own, {nodes: "1", threshold: "1", "single-vc": true});
  const threshold = Number(own.threshold);
  const out = path.resolve(own.out);
  const options = parseOptions([
    "--slots", own.slots, "--seconds-per-slot", own["seconds-per-slot"], "--validators", own.validators, "--vcs", own["single-vc"] ? "1" : own.nodes,
    "--beacon-nodes", "own", "--el", "diverge", "--out", out, ...own.devnet,
  ]);

  let nodes;
  const summary = await runDevnet(options, {
    async onPrepared(context) {
      const ports = await choosePorts(Number(own.nodes), Number(own["port-base"]));
      const synod = path.resolve(own.synod);
      if (own.stub) nodes = await startStubCluster({ports, ...context});
      else if (own.standalone) nodes = await startStandalone({synod, ports, ...context});
      else nodes = await startSynodCluster({synod, threshold, ports, ...context});
      return nodes.urls;
    },
    actions: [
      ...(stop ? [
        {slot: stop.at, what: `kill -9 node${stop.node}`, run: () => nodes.crash(stop.node)},
        {slot: stop.back, what: `start node${stop.node} again`, run: () => nodes.restart(stop.node)},
      ] : []),
      ...(options.at ?? []).map((text) => shellAction(text, out)),
    ],
    async afterStop({summary, records, network}) {
      const {signingRootOf} = await loadEthereum(network.preset);
      const config = JSON.parse(fs.readFileSync(network.configFile, "utf8"));
      const signing = readSigning(records);
      const audit = nodes.databases && auditDatabases({databases: nodes.databases, threshold, signed: signing.signed, workDir: path.join(out, "audit")});
      const signatures = checkSignatures(records.flatMap(readLines), signingRootOf(config));
      summary.slashingRecords = audit ?? undefined;
      summary.verdict = judge({
        summary, signing, signatures, audit, exits: nodes.exits(),
        finality: summary.slotsRun >= FINALITY_BY_SLOT, outage: stop && outageOf(stop, network), tolerance: Number(own.tolerance),
      });
    },
  });
  if (own.json) console.log(JSON.stringify(summary, null, 1));
  tell(summary, own.json ? console.error : console.log);
  return summary.verdict.every((c) => c.ok) ? 0 : 1;
}

/** --stop-one as {node, at, back}, or null. */
function plannedStop(own) {
  if (!own["stop-one"]) return null;
  const slots = Number(own.slots);
  const stop = {
    node: Number(own["stop-node"]),
    at: Number(own["stop-at"] ?? Math.floor(slots / 3)),
    back: Number(own["start-at"] ?? Math.floor((2 * slots) / 3)),
  };
  if (!(stop.node < Number(own.nodes) && 0 < stop.at && stop.at < stop.back && stop.back + SLOTS_TO_COME_BACK < slots)) {
    throw Error(`--stop-one wants a node below ${own.nodes} and slots 0 < --stop-at < --start-at < ${slots - SLOTS_TO_COME_BACK}, not node ${stop.node}, ${stop.at} and ${stop.back}`);
  }
  if (own.standalone) throw Error("--standalone has one node only: it cannot be stopped");
  if (own["single-vc"] && stop.node === 0) throw Error("--single-vc asks node 0: stop another with --stop-node");
  return stop;
}

/** When requests of the stopped node's validator client may fail. */
function outageOf(stop, network) {
  const ms = (slot) => (network.genesisTime + slot * network.secondsPerSlot) * 1000;
  return {vc: `vc${stop.node}`, fromMs: ms(stop.at) - REQUEST_IN_FLIGHT_MS, toMs: ms(stop.back + SLOTS_TO_COME_BACK)};
}

/** Prints the figures that matter and the verdict, for people. */
function tell(summary, print) {
  print(`\n${summary.client}, ${summary.validators.external} validators, ${summary.validatorClients} validator client(s), ${summary.slotsRun} slots of ${summary.secondsPerSlot} s`);
  print(`blocks by client: ${Object.entries(summary.proposals.byGraffiti).map(([name, count]) => `${name} ${count}`).join(", ")}`);
  print("\nrequest                                     count    200  p50 ms  p95 ms  p99 ms  max ms");
  for (const [type, t] of Object.entries(summary.requests.types)) {
    const cells = [t.requests, t.ok, t.ms.p50, t.ms.p95, t.ms.p99, t.ms.max];
    print(type.padEnd(42) + cells.map((c, i) => String(c).padStart(i < 2 ? 7 : 8)).join(""));
  }
  print("");
  for (const c of summary.verdict) print(`${c.ok ? "  ok  " : " FAIL "} ${c.name}: ${c.seen}`);
  print(`\n${summary.verdict.every((c) => c.ok) ? "all as it has to be" : "NOT as it has to be"}; everything of this run is in ${summary.out}`);
}

main().then(
  (code) => process.exit(code),
  (e) => {
    console.error("cluster:", e.message);
    if (process.env.DEVNET_DEBUG) console.error(e.stack);
    process.exit(2);
  }
);
