// Chain configuration of the devnet. Only to be imported through ethereum.mjs, which chooses the preset first.
import {chainConfigToJson, createChainConfig, createChainForkConfig} from "@lodestar/config";
import {minimalChainConfig, mainnetChainConfig} from "@lodestar/config/configs";
import {ACTIVE_PRESET} from "@lodestar/params";

export const FORKS = ["altair", "bellatrix", "capella", "deneb", "electra", "fulu"];

/**
 * forkEpochs: {fulu: 3} style overrides. Forks up to and including `fork` start at epoch 0,
 * later ones never, unless named in forkEpochs.
 */
export function devnetConfig({fork = "fulu", forkEpochs = {}, secondsPerSlot = 4, validators = 16} = {}) {
  const base = ACTIVE_PRESET === "minimal" ? minimalChainConfig : mainnetChainConfig;
  const last = FORKS.indexOf(fork);
  if (last < 2) throw Error(`--fork must be one of ${FORKS.slice(2).join(", ")}`);
  const over = {
    CONFIG_NAME: "devnet",
    MIN_GENESIS_TIME: 0,
    GENESIS_DELAY: 0,
    MIN_GENESIS_ACTIVE_VALIDATOR_COUNT: validators,
    TERMINAL_TOTAL_DIFFICULTY: 0n,
    SECONDS_PER_SLOT: secondsPerSlot,
    SLOT_DURATION_MS: secondsPerSlot * 1000,
    SHARD_COMMITTEE_PERIOD: 1,
  };
  FORKS.forEach((f, i) => {
    over[`${f.toUpperCase()}_FORK_EPOCH`] = forkEpochs[f] ?? (i <= last ? 0 : Infinity);
  });
  return createChainForkConfig(createChainConfig({...base, ...over}));
}

/** The configuration with every value as a string, as Lodestar's --paramsFile takes it. */
export function configJson(config) {
  return chainConfigToJson(config);
}

/** The same as a consensus-specs `config.yaml`: one `KEY: value` a line, nothing quoted but the names. */
export function configYaml(config) {
  const names = ["PRESET_BASE", "CONFIG_NAME"];
  return Object.entries(configJson(config))
    .map(([key, value]) => `${key}: ${names.includes(key) ? `'${value}'` : Array.isArray(value) ? JSON.stringify(value) : value}\n`)
    .join("");
}
