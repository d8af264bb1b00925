// One run of the devnet, from keys to summary.
import fs from "node:fs";
import path from "node:path";
import {startBeaconNodes} from "./beacon.mjs";
import {attestationFigures, proposalFigures, syncFigures} from "./chain_figures.mjs";
import {lodestarOf, startingTime} from "./clients.mjs";
import {loadEthereum} from "./ethereum.mjs";
import {prepare} from "./prepare.mjs";
import {Processes} from "./processes.mjs";
import {summarizeLog, summarizeRecords} from "./report.mjs";
import {startStub, waitForSigners} from "./signers.mjs";
import {api, writeJson} from "./util.mjs";
import {startValidatorClients} from "./validators.mjs";
import {ChainWatch} from "./watch.mjs";

/** Prints with the time of day, on standard error. */
export const sayer = (quiet) => (...m) => quiet || console.error(new Date().toISOString().slice(11, 23), ...m);

/**
 * Runs the devnet and resolves to its summary, which OUT/summary.json holds too. `options` are those of options.mjs.
 *
 * hooks:
 * - `onPrepared({network, processes, out, say})`: called when keys, configuration and genesis are on disk and before
 *   anything is started; provisions the signers, and may resolve to their URLs, one per validator client.
 * - `actions`: [{slot, what, run}], see ChainWatch.
 * - `afterStop({summary, out})`: called when every process has ended; may add to the summary.
 *
 * With --prepare-only it resolves to the network description after onPrepared.
 */
export async function runDevnet(options, hooks = {}) {
  const startedMs = Date.now();
  const say = sayer(options.quiet);
  const out = path.resolve(options.out);
  fs.mkdirSync(out, {recursive: true});
  removeEarlierRun(out);
  const processes = new Processes(out);
  const onSignal = async () => {
    await processes.stopAll();
    process.exit(130);
  };
  for (const s of ["SIGINT", "SIGTERM"]) process.once(s, onSignal);
  try {
    return await run({options, hooks, startedMs, say, out, processes});
  } finally {
    await processes.stopAll();
    for (const s of ["SIGINT", "SIGTERM"]) process.off(s, onSignal);
  }
}

async function run({options, hooks, startedMs, say, out, processes}) {
  const lodestar = lodestarOf(options);
  const eth = await loadEthereum(options.preset);
  const {slots} = options;
  const secondsPerSlot = options["seconds-per-slot"];

  // Validator clients are known by number before their signers are: the start of a client takes time, so genesis waits.
  const vcCount = options.vcs ?? Math.max(1, options["signer-url"]?.length ?? options.stub ?? hooks.vcs ?? 1);
  const bnCount = options["beacon-nodes"] === "own" ? vcCount : 1;
  const clientCount = vcCount + bnCount + (options.control ? 1 : 0);
  const genesisTime = options["genesis-time"] ?? Math.ceil(Date.now() / 1000 + (options["genesis-delay"] ?? (await startingTime(lodestar, clientCount))));
  const genesisMs = genesisTime * 1000;

  const {network, config, external, validators, genesisFile} = prepare({options, eth, out, genesisTime, fork: options.fork ?? lodestar.newestFork});
  const isExternal = (i) => i < external.length;
  say(`prepared ${validators.length} validators (${external.length} external), genesis at ${network.genesisFork}, genesis validators root ${network.genesisValidatorsRoot}`);
  const hookUrls = await hooks.onPrepared?.({network, processes, out, say});
  if (options["prepare-only"]) return network;

  const given = hookUrls ?? [...(options["signer-url"] ?? []), ...(await startStubs({options, processes, network, out}))];
  if (!given.length) throw Error("give --signer-url (once per validator client) or --stub N");
  const signerUrls = Array.from({length: options.vcs ?? given.length}, (_, i) => given[i % given.length]);
  const signers = await waitForSigners(given, {processes, expected: network.externalPubkeys});
  say("signers", JSON.stringify(signers));

  const beacon = await startBeaconNodes({options, processes, lodestar, out, network, genesisFile, count: options["beacon-nodes"] === "own" ? signerUrls.length : 1, say});
  say(`${beacon.urls.length} beacon node(s) up, ${beacon.version}, ${((Date.now() - startedMs) / 1000).toFixed(1)} s after start`);
  const vcs = await startValidatorClients({options, processes, lodestar, out, network, signerUrls, beaconUrls: beacon.urls});
  const spare = (genesisMs - Date.now()) / 1000;
  if (spare < 0) throw Error(`genesis was ${(-spare).toFixed(1)} s ago when the clients had been started: give a greater --genesis-delay`);
  say(`${signerUrls.length} validator client(s) started; genesis in ${spare.toFixed(1)} s, ${slots} slots of ${secondsPerSlot} s`);

  const exit = voluntaryExit({options, external, network, vcs, beaconUrl: beacon.urls[0], say});
  const watch = new ChainWatch({
    beaconUrl: beacon.urls[0], processes, slotsPerEpoch: eth.SLOTS_PER_EPOCH, secondsPerSlot, genesisMs, startedMs, isExternal, actions: hooks.actions, onEpoch: exit.onEpoch, say,
  });
  await watch.runUntil(genesisMs + (slots + 1) * secondsPerSlot * 1000);

  const seen = await readChain({beacon, slots});
  // what a client logs while it is being stopped does not count
  const logSizes = new Map(processes.named("").map((p) => [p, fs.statSync(p.logFile).size]));
  const died = processes.ended();
  await processes.stopAll();

  const {blocks, balances, peers, heads} = seen;
  const gained = external.map((_, i) => balances[i] - (validators[i].balanceGwei ?? 32_000_000_000));
  exit.findIn(blocks);
  const summary = {
    client: beacon.version,
    preset: options.preset, genesisFork: network.genesisFork, genesisTime, secondsPerSlot, slotsRun: slots,
    validators: {external: external.length, control: options.control}, validatorClients: signerUrls.length, clients: vcs.clients, beaconNodes: beacon.urls.length, el: options.el, peers,
    beaconNodesAgree: heads.every((h) => h === heads[0]),
    timeline: watch.timeline,
    headSlot: blocks.size ? Math.max(...blocks.keys()) : 0,
    justifiedEpoch: watch.finality ? Number(watch.finality.current_justified.epoch) : null,
    finalizedEpoch: watch.finality ? Number(watch.finality.finalized.epoch) : null,
    proposals: proposalFigures({blocks, proposers: watch.proposers, slots, isExternal}),
    attestations: attestationFigures({participation: watch.participation, lastEpoch: Math.floor(slots / eth.SLOTS_PER_EPOCH), isExternal}),
    syncCommittee: syncFigures({blocks, syncCommittees: watch.syncCommittees, slotsPerEpoch: eth.SLOTS_PER_EPOCH, isExternal}),
    externalBalanceGwei: {min: Math.min(...gained), max: Math.max(...gained), losing: gained.filter((g) => g < 0).length},
    voluntaryExit: exit.done ?? undefined,
    actions: watch.actionLog.length ? watch.actionLog : undefined,
    signers,
    requests: summarizeRecords(vcs.records, path.join(out, "captures"), eth.signingRootOf(eth.configJson(config))),
    logs: Object.fromEntries([...processes.named("vc"), ...processes.named("bn")].map((p) => [p.name, summarizeLog(p.logFile, logSizes.get(p))])),
    processesThatEnded: died,
    out,
  };
  await hooks.afterStop?.({summary, out, network, processes, records: vcs.records, blocks});
  writeJson(path.join(out, "summary.json"), summary);
  return summary;
}

/** Removes what an earlier run in this directory left: a beacon node would go on with its old chain. Keys stay. */
function removeEarlierRun(out) {
  for (const name of fs.readdirSync(out)) {
    if (/^((bn|vc)(\d+|-control)|captures|[\w-]+\.log|[\w-]+\.jsonl|pids\.json|summary\.json)$/.test(name)) fs.rmSync(path.join(out, name), {recursive: true});
  }
}

async function startStubs({options, processes, network, out}) {
  if (!options.stub) return [];
  if (!network.keysDir) throw Error("--stub signs with interop keys only");
  const urls = [];
  for (let i = 0; i < options.stub; i++) urls.push(await startStub({name: `stub${i}`, processes, network, out, args: options["stub-arg"]}));
  return urls;
}

/** What the first beacon node has in the end: the canonical blocks by slot, the balances, and every node's head. */
async function readChain({beacon, slots}) {
  const url = beacon.urls[0];
  const blocks = new Map();
  for (let slot = 1; slot <= slots; slot++) {
    const answer = await api(`${url}/eth/v2/beacon/blocks/${slot}`);
    if (answer.status === 200) blocks.set(slot, answer.json);
  }
  const balances = (await api(`${url}/eth/v1/beacon/states/head/validator_balances`)).json.data.map((b) => Number(b.balance));
  const heads = [];
  for (const u of beacon.urls) heads.push((await api(`${u}/eth/v1/beacon/headers/head`)).json.data.root);
  return {blocks, balances, heads, peers: beacon.urls.length > 1 ? await beacon.peerCounts() : null};
}

/** --exit: in epoch 2 the first client has an exit signed (or the signer is asked for it, where the client cannot), which is handed to the beacon node. */
function voluntaryExit({options, external, network, vcs, beaconUrl, say}) {
  const exit = {done: null};
  exit.onEpoch = async (epoch, slot) => {
    if (options.exit === undefined || exit.done || epoch < 2) return;
    const {pubkey} = external[options.exit];
    const signed = vcs.keymanagerUrl
      ? await api(`${vcs.keymanagerUrl}/eth/v1/validator/${pubkey}/voluntary_exit`, {method: "POST"})
      : await exitOfSigner({signerUrl: vcs.exitSignerUrl, network, pubkey, index: options.exit, epoch});
    const sent = signed.status === 200 ? await api(`${beaconUrl}/eth/v1/beacon/pool/voluntary_exits`, {method: "POST", body: signed.json.data}) : null;
    exit.done = {slot, signed: signed.status, message: signed.json, submitted: sent?.status ?? null, answer: sent?.json};
    say("voluntary exit", JSON.stringify(exit.done));
  };
  exit.findIn = (blocks) => {
    for (const [slot, block] of blocks) {
      for (const e of block.data.message.body.voluntary_exits) {
        if (exit.done && Number(e.message.validator_index) === options.exit) exit.done.includedInSlot ??= slot;
      }
    }
  };
  return exit;
}

/** An exit that the signer is asked for, in the form of a client's answer. */
async function exitOfSigner({signerUrl, network, pubkey, index, epoch}) {
  const due = network.forkSchedule.filter((f) => f.epoch <= epoch);
  const [previous, current] = [due.at(-2) ?? due.at(-1), due.at(-1)];
  const fork = {previous_version: previous.version, current_version: current.version, epoch: `${current.epoch}`};
  const message = {epoch: `${epoch}`, validator_index: `${index}`};
  const body = {type: "VOLUNTARY_EXIT", fork_info: {fork, genesis_validators_root: network.genesisValidatorsRoot}, voluntary_exit: message};
  const answer = await api(`${signerUrl}/api/v1/eth2/sign/${pubkey}`, {method: "POST", body});
  return {status: answer.status, json: {data: {message, signature: answer.json?.signature}}};
}
