// What has to be known before any signer can start: keys, chain configuration, genesis.
import fs from "node:fs";
import path from "node:path";
import {interopKeys, writeKeys} from "./keys.mjs";
import {readValidators, writeJson} from "./util.mjs";

/** Interop indexes of the control validators start here, apart from those of the external ones. */
export const CONTROL_FROM = 1000;

/**
 * Writes OUT/keys, OUT/config.json, OUT/config.yaml, OUT/genesis.ssz and OUT/network.json.
 * `genesisTime` is in seconds since 1970. Returns {network, config, external, validators, genesisFile}; `network` is
 * what network.json holds, and all that a signer under test is told.
 */
export function prepare({options, eth, out, genesisTime, fork}) {
  const keysDir = path.join(out, "keys");
  let external;
  if (options.pubkeys) {
    external = readValidators(options.pubkeys);
  } else {
    const keys = interopKeys(options.validators);
    writeKeys(keysDir, keys);
    external = keys.map(({pubkey}) => ({pubkey}));
  }
  const validators = [...external, ...interopKeys(options.control, CONTROL_FROM).map(({pubkey}) => ({pubkey}))];

  const config = eth.devnetConfig({fork, forkEpochs: options["fork-epoch"], secondsPerSlot: options["seconds-per-slot"], validators: validators.length});
  const configFile = path.join(out, "config.json");
  const configYamlFile = path.join(out, "config.yaml");
  writeJson(configFile, eth.configJson(config));
  fs.writeFileSync(configYamlFile, eth.configYaml(config));

  const genesis = eth.buildGenesis(config, validators, {genesisTime});
  const genesisFile = path.join(out, "genesis.ssz");
  fs.writeFileSync(genesisFile, genesis.bytes);
  const hex = (bytes) => "0x" + Buffer.from(bytes).toString("hex");
  const network = {
    preset: options.preset,
    slotsPerEpoch: eth.SLOTS_PER_EPOCH,
    secondsPerSlot: options["seconds-per-slot"],
    genesisTime,
    genesisFork: genesis.fork,
    genesisValidatorsRoot: genesis.genesisValidatorsRoot,
    genesisForkVersion: hex(config.GENESIS_FORK_VERSION),
    forkSchedule: Object.values(config.forks)
      .filter((f) => f.epoch !== Infinity)
      .map((f) => ({name: f.name, epoch: f.epoch, version: hex(f.version)})),
    externalPubkeys: external.map((v) => v.pubkey),
    keysDir: options.pubkeys ? null : keysDir,
    configFile,
    configYamlFile,
  };
  writeJson(path.join(out, "network.json"), network);
  return {network, config, external, validators, genesisFile};
}
