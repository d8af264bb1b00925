// Follows the chain through one beacon node while it runs, and does what was asked for at given slots.
import {api, sleep} from "./util.mjs";

// Duties, participation and finality are asked for once a slot, late in it, when its block has long been there.
const LATE_IN_SLOT = 0.8;

export class ChainWatch {
  /** Proposer by slot: validator index. */
  proposers = new Map();
  /** Validator indexes by position in the sync committee, by epoch. */
  syncCommittees = new Map();
  /** Participation flags by validator (1 source, 2 target, 4 head), by epoch. */
  participation = new Map();
  /** When something was first seen: {sinceGenesisS, sinceStartS, slot, ..} by name. */
  timeline = {};
  /** The head's finality_checkpoints as last seen. */
  finality = null;
  /** What was done at given slots and what came of it. */
  actionLog = [];
  /** Processes that ended by themselves. */
  died = [];
  #lastSlot = -1;

  /**
   * beaconUrl: the node to ask. isExternal(i): whether validator i is signed for externally.
   * actions: [{slot, what, run}] with run an async function whose result is logged.
   * onEpoch(epoch): called once a slot after the chain was looked at.
   */
  constructor({beaconUrl, processes, slotsPerEpoch, secondsPerSlot, genesisMs, startedMs, isExternal, actions = [], onEpoch = async () => {}, say}) {
    Object.assign(this, {beaconUrl, processes, slotsPerEpoch, slotMs: secondsPerSlot * 1000, genesisMs, startedMs, isExternal, onEpoch, say});
    this.actions = actions.map((a) => ({...a, begun: null}));
  }

  /** Runs until `endMs`, and until the actions begun have ended. */
  async runUntil(endMs) {
    while (Date.now() < endMs) {
      await sleep(200);
      this.#noteDeaths();
      if (Date.now() < this.genesisMs) continue;
      this.#beginActions();
      await this.#poll().catch((e) => this.say("poll:", e.message));
    }
    await Promise.all(this.actions.map((a) => a.begun));
    await this.takeParticipation().catch((e) => this.say("participation:", e.message));
  }

  /** Reads the head state's participation of this epoch and the one before. */
  async takeParticipation() {
    const {status, json} = await api(`${this.beaconUrl}/eth/v2/debug/beacon/states/head`, {timeoutMs: 8000});
    if (status !== 200) return;
    const epoch = Math.floor(Number(json.data.slot) / this.slotsPerEpoch);
    if (epoch > 0) this.participation.set(epoch - 1, json.data.previous_epoch_participation.map(Number));
    this.participation.set(epoch, json.data.current_epoch_participation.map(Number));
  }

  #mark(name, extra) {
    if (this.timeline[name]) return;
    const since = (ms) => Number(((Date.now() - ms) / 1000).toFixed(1));
    this.timeline[name] = {sinceGenesisS: since(this.genesisMs), sinceStartS: since(this.startedMs), ...extra};
    this.say(name, JSON.stringify(this.timeline[name]));
  }

  #noteDeaths() {
    this.died = this.processes.ended();
    if (this.died.length > (this.deathsTold ?? 0)) this.say("PROCESS ENDED", JSON.stringify(this.died.at(-1)));
    this.deathsTold = this.died.length;
    if (this.died.length && Date.now() < this.genesisMs) throw Error(`${this.died[0].name} ended before genesis: see its log`);
  }

  #beginActions() {
    for (const a of this.actions) {
      if (a.begun || Date.now() < this.genesisMs + a.slot * this.slotMs) continue;
      this.say(`slot ${a.slot}: ${a.what}`);
      a.begun = Promise.resolve()
        .then(a.run)
        .then((result) => this.actionLog.push({slot: a.slot, what: a.what, ok: true, ...result}))
        .catch((e) => this.actionLog.push({slot: a.slot, what: a.what, ok: false, error: e.message}));
    }
  }

  async #poll() {
    const now = Date.now();
    const head = (await api(`${this.beaconUrl}/eth/v1/beacon/headers/head`)).json.data.header.message;
    if (Number(head.slot) > 0) {
      this.#mark("firstBlock", {slot: Number(head.slot)});
      if (this.isExternal(Number(head.proposer_index))) this.#mark("firstExternalBlock", {slot: Number(head.slot)});
    }
    const sinceGenesis = (now - this.genesisMs) / this.slotMs;
    const slot = Math.floor(sinceGenesis);
    if (slot === this.#lastSlot || sinceGenesis - slot <= LATE_IN_SLOT) return;
    this.#lastSlot = slot;
    const epoch = Math.floor(slot / this.slotsPerEpoch);
    const duties = await api(`${this.beaconUrl}/eth/v1/validator/duties/proposer/${epoch}`);
    for (const d of duties.status === 200 ? duties.json.data : []) {
      if (Number(d.slot) >= slot || !this.proposers.has(Number(d.slot))) this.proposers.set(Number(d.slot), Number(d.validator_index));
    }
    if (!this.syncCommittees.has(epoch)) {
      const committee = await api(`${this.beaconUrl}/eth/v1/beacon/states/head/sync_committees`);
      if (committee.status === 200) this.syncCommittees.set(epoch, committee.json.data.validators.map(Number));
    }
    this.finality = (await api(`${this.beaconUrl}/eth/v1/beacon/states/head/finality_checkpoints`)).json.data;
    const justified = Number(this.finality.current_justified.epoch);
    const finalized = Number(this.finality.finalized.epoch);
    if (justified > 0) this.#mark("firstJustified", {slot, epoch: justified});
    if (finalized > 0) this.#mark("firstFinalized", {slot, epoch: finalized});
    await this.takeParticipation();
    await this.onEpoch(epoch, slot);
  }
}
