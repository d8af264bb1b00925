// Builds a genesis BeaconState directly, with any public keys in the registry. No deposit is processed and so no
// deposit signature is needed: keys whose secret nobody knows (a DKG's group key) can be genesis validators.
// Only to be imported through ethereum.mjs, which chooses the preset first.
import crypto from "node:crypto";
import {PublicKey, aggregatePublicKeys} from "@chainsafe/blst";
import * as P from "@lodestar/params";
import {ssz} from "@lodestar/types";

const sha = (...parts) => {
  const h = crypto.createHash("sha256");
  for (const p of parts) h.update(p);
  return h.digest();
};
const u64 = (n) => {
  const b = Buffer.alloc(8);
  b.writeBigUInt64LE(BigInt(n));
  return b;
};
const u32 = (n) => {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(n);
  return b;
};

/** spec: compute_shuffled_index */
export function shuffledIndex(index, count, seed) {
  for (let round = 0; round < P.SHUFFLE_ROUND_COUNT; round++) {
    const r = Buffer.from([round]);
    const pivot = Number(sha(seed, r).readBigUInt64LE(0) % BigInt(count));
    const flip = (pivot + count - index) % count;
    const position = Math.max(index, flip);
    const source = sha(seed, r, u32(Math.floor(position / 256)));
    if ((source[Math.floor((position % 256) / 8)] >> position % 8) & 1) index = flip;
  }
  return index;
}

/** Draws validators weighted by effective balance, as the proposer and sync-committee selections do. */
function* drawByBalance(active, balances, seed, electra) {
  const max = electra ? P.MAX_EFFECTIVE_BALANCE_ELECTRA : P.MAX_EFFECTIVE_BALANCE;
  for (let i = 0; ; i++) {
    const candidate = active[shuffledIndex(i % active.length, active.length, seed)];
    let random, limit;
    if (electra) {
      random = sha(seed, u64(Math.floor(i / 16))).readUInt16LE((i % 16) * 2);
      limit = 0xffff;
    } else {
      random = sha(seed, u64(Math.floor(i / 32)))[i % 32];
      limit = 0xff;
    }
    if (BigInt(balances[candidate]) * BigInt(limit) >= BigInt(max) * BigInt(random)) yield candidate;
  }
}

const FORK_ORDER = ["phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu"];

/**
 * validators: [{pubkey: "0x..", withdrawalCredentials?: "0x..", balanceGwei?: number}]
 * Returns {state (ssz value), bytes, genesisValidatorsRoot, genesisBlockRoot, fork}
 */
export function buildGenesis(config, validators, {genesisTime, elBlockHash = Buffer.alloc(32, 0x0b), gasLimit = 30_000_000} = {}) {
  const fork = config.getForkName(0);
  const at = (f) => FORK_ORDER.indexOf(fork) >= FORK_ORDER.indexOf(f);
  if (!at("capella")) throw Error(`genesis at ${fork} is not supported`);
  const electra = at("electra");
  const types = ssz[fork];
  const state = types.BeaconState.defaultValue();

  state.genesisTime = genesisTime;
  const info = config.forks[fork];
  state.fork = {previousVersion: info.prevVersion, currentVersion: info.version, epoch: 0};

  const seen = new Set();
  validators.forEach((v, i) => {
    const key = v.pubkey.toLowerCase();
    if (!/^0x[0-9a-f]{96}$/.test(key)) throw Error(`validator ${i}: bad public key ${v.pubkey}`);
    if (seen.has(key)) throw Error(`validator ${i}: public key given twice`);
    seen.add(key);
    const pubkey = Buffer.from(key.slice(2), "hex");
    PublicKey.fromBytes(pubkey, true); // throws where not a valid point of the group
    let cred = v.withdrawalCredentials ? Buffer.from(v.withdrawalCredentials.slice(2), "hex") : null;
    if (!cred) {
      cred = sha(pubkey); // 0x00: no withdrawal sweep, so that a balance shows what a validator earned
      cred[0] = 0;
    }
    const balance = v.balanceGwei ?? P.MAX_EFFECTIVE_BALANCE;
    const cap = electra && cred[0] === 2 ? P.MAX_EFFECTIVE_BALANCE_ELECTRA : P.MAX_EFFECTIVE_BALANCE;
    state.validators.push({
      pubkey,
      withdrawalCredentials: cred,
      effectiveBalance: Math.min(balance - (balance % P.EFFECTIVE_BALANCE_INCREMENT), cap),
      slashed: false,
      activationEligibilityEpoch: 0,
      activationEpoch: 0,
      exitEpoch: Infinity,
      withdrawableEpoch: Infinity,
    });
    state.balances.push(balance);
    state.previousEpochParticipation.push(0);
    state.currentEpochParticipation.push(0);
    state.inactivityScores.push(0);
  });
  state.genesisValidatorsRoot = types.BeaconState.fields.validators.hashTreeRoot(state.validators);

  const n = validators.length;
  state.eth1Data = {depositRoot: ssz.phase0.DepositDataRootList.hashTreeRoot([]), depositCount: n, blockHash: elBlockHash};
  state.eth1DepositIndex = n; // every deposit counted as processed: blocks need carry none
  state.randaoMixes = Array.from({length: P.EPOCHS_PER_HISTORICAL_VECTOR}, () => elBlockHash);
  state.latestBlockHeader = {
    slot: 0,
    proposerIndex: 0,
    parentRoot: Buffer.alloc(32),
    stateRoot: Buffer.alloc(32),
    bodyRoot: types.BeaconBlockBody.hashTreeRoot(types.BeaconBlockBody.defaultValue()),
  };
  state.latestExecutionPayloadHeader.blockHash = elBlockHash;
  state.latestExecutionPayloadHeader.prevRandao = elBlockHash;
  state.latestExecutionPayloadHeader.gasLimit = gasLimit;
  state.latestExecutionPayloadHeader.baseFeePerGas = 1_000_000_000n;
  state.latestExecutionPayloadHeader.timestamp = genesisTime;

  const active = validators.map((_, i) => i);
  const effective = state.validators.map((v) => v.effectiveBalance);
  const mix = elBlockHash;
  const seedOf = (epoch, domainType) => sha(domainType, u64(epoch), mix);

  const committee = [];
  for (const i of drawByBalance(active, effective, seedOf(1, P.DOMAIN_SYNC_COMMITTEE), electra)) {
    committee.push(i);
    if (committee.length === P.SYNC_COMMITTEE_SIZE) break;
  }
  const pubkeys = committee.map((i) => state.validators[i].pubkey);
  const aggregatePubkey = aggregatePublicKeys(pubkeys.map((p) => PublicKey.fromBytes(p))).toBytes();
  state.currentSyncCommittee = {pubkeys, aggregatePubkey};
  state.nextSyncCommittee = {pubkeys, aggregatePubkey};

  if (electra) state.depositRequestsStartIndex = P.UNSET_DEPOSIT_REQUESTS_START_INDEX;
  if (at("fulu")) {
    state.proposerLookahead = [];
    for (let epoch = 0; epoch <= P.MIN_SEED_LOOKAHEAD; epoch++) {
      const seed = seedOf(epoch, P.DOMAIN_BEACON_PROPOSER);
      for (let s = 0; s < P.SLOTS_PER_EPOCH; s++) {
        const slotSeed = sha(seed, u64(epoch * P.SLOTS_PER_EPOCH + s));
        state.proposerLookahead.push(drawByBalance(active, effective, slotSeed, electra).next().value);
      }
    }
  }

  const stateRoot = types.BeaconState.hashTreeRoot(state);
  return {
    fork,
    state,
    bytes: types.BeaconState.serialize(state),
    stateRoot: "0x" + Buffer.from(stateRoot).toString("hex"),
    genesisValidatorsRoot: "0x" + Buffer.from(state.genesisValidatorsRoot).toString("hex"),
    genesisBlockRoot:
      "0x" + Buffer.from(ssz.phase0.BeaconBlockHeader.hashTreeRoot({...state.latestBlockHeader, stateRoot})).toString("hex"),
  };
}
