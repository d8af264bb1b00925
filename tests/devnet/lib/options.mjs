// The options of a devnet run, from a command line or from another program.
import {parseArgs} from "node:util";

const SPEC = {
  "signer-url": {type: "string", multiple: true},
  vcs: {type: "string"},
  stub: {type: "string"},
  "stub-arg": {type: "string", multiple: true},
  graffiti: {type: "string", default: "per-vc"},
  validators: {type: "string", default: "16"},
  pubkeys: {type: "string"},
  control: {type: "string", default: "0"},
  slots: {type: "string", default: "34"},
  "seconds-per-slot": {type: "string", default: "4"},
  fork: {type: "string"},
  "fork-epoch": {type: "string", multiple: true},
  preset: {type: "string", default: "minimal"},
  "beacon-nodes": {type: "string", default: "shared"},
  el: {type: "string", default: "shared"},
  "pubkeys-mode": {type: "string", default: "fetch"},
  "no-recorder": {type: "boolean", default: false},
  "genesis-delay": {type: "string"},
  "genesis-time": {type: "string"},
  "vc-stagger": {type: "string", default: "0"},
  "on-prepared": {type: "string"},
  "prepare-only": {type: "boolean", default: false},
  builder: {type: "boolean", default: false},
  exit: {type: "string"},
  at: {type: "string", multiple: true},
  "vc-arg": {type: "string", multiple: true},
  "vero-arg": {type: "string", multiple: true},
  "bn-arg": {type: "string", multiple: true},
  client: {type: "string", multiple: true},
  vero: {type: "string"},
  "vero-python": {type: "string"},
  lodestar: {type: "string"},
  "lodestar-node": {type: "string"},
  "old-flags": {type: "boolean", default: false},
  out: {type: "string", default: `./devnet-${process.pid}`},
  "min-participation": {type: "string"},
  "require-finality": {type: "boolean", default: false},
  quiet: {type: "boolean", default: false},
};
const NUMBERS = ["vcs", "stub", "validators", "control", "slots", "seconds-per-slot", "genesis-delay", "genesis-time", "vc-stagger", "exit", "min-participation"];
const CHOICES = {preset: ["minimal", "mainnet"], "beacon-nodes": ["shared", "own"], el: ["shared", "own", "diverge"], "pubkeys-mode": ["fetch", "list"]};

/** The options by their names on the command line (`options["seconds-per-slot"]`), numbers as numbers. README.md tells them. */
export function parseOptions(args) {
  const {values} = parseArgs({args, options: SPEC});
  for (const name of NUMBERS) {
    if (values[name] === undefined) continue;
    const number = Number(values[name]);
    if (!Number.isFinite(number) || number < 0) throw Error(`--${name} wants a number, not ${values[name]}`);
    values[name] = number;
  }
  for (const [name, known] of Object.entries(CHOICES)) {
    if (!known.includes(values[name])) throw Error(`--${name} wants ${known.join(" or ")}, not ${values[name]}`);
  }
  values["fork-epoch"] = Object.fromEntries((values["fork-epoch"] ?? []).map((s) => s.split("=")).map(([fork, epoch]) => [fork, Number(epoch)]));
  values.client ??= ["lodestar"];
  return values;
}
