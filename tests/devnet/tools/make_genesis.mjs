#!/usr/bin/env node
// make_genesis.mjs --pubkeys FILE --out genesis.ssz [--config config.json] [--genesis-time T] [--fork fulu]
//                  [--seconds-per-slot 4] [--preset minimal]
// FILE: JSON array of "0x.." strings or {pubkey, withdrawalCredentials?, balanceGwei?}, or text with one key a line.
import fs from "node:fs";
import {parseArgs} from "node:util";
import {loadEthereum} from "../lib/ethereum.mjs";
import {readValidators, writeJson} from "../lib/util.mjs";
const {values: a} = parseArgs({
  options: {
    pubkeys: {type: "string"}, out: {type: "string", default: "genesis.ssz"}, config: {type: "string"},
    "genesis-time": {type: "string"}, fork: {type: "string", default: "fulu"},
    "seconds-per-slot": {type: "string", default: "4"}, preset: {type: "string", default: "minimal"},
  },
});
if (!a.pubkeys) {
  console.error("--pubkeys FILE is required");
  process.exit(2);
}
const {buildGenesis, configJson, devnetConfig} = await loadEthereum(a.preset);
const validators = readValidators(a.pubkeys);
const config = devnetConfig({fork: a.fork, secondsPerSlot: Number(a["seconds-per-slot"]), validators: validators.length});
const genesisTime = a["genesis-time"] ? Number(a["genesis-time"]) : Math.floor(Date.now() / 1000) + 30;
const g = buildGenesis(config, validators, {genesisTime});
fs.writeFileSync(a.out, g.bytes);
if (a.config) writeJson(a.config, configJson(config));
console.log(JSON.stringify({out: a.out, bytes: g.bytes.length, fork: g.fork, validators: validators.length, genesisTime,
  genesisValidatorsRoot: g.genesisValidatorsRoot, stateRoot: g.stateRoot, genesisBlockRoot: g.genesisBlockRoot}, null, 1));
