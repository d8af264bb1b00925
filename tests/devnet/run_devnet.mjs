#!/usr/bin/env node
// Runs a private one-machine beacon chain whose validators sign through remote signers, and prints a JSON summary.
// See README.md for the options.
import {execSync} from "node:child_process";
import path from "node:path";
import {shellAction} from "./lib/actions.mjs";
import {runDevnet} from "./lib/devnet.mjs";
import {parseOptions} from "./lib/options.mjs";

async function main() {
  const options = parseOptions(process.argv.slice(2));
  if (!options["signer-url"] && process.env.SIGNER_URL) options["signer-url"] = process.env.SIGNER_URL.split(",");
  const out = path.resolve(options.out);
  const summary = await runDevnet(options, {
    onPrepared({network}) {
      if (!options["on-prepared"]) return;
      const env = {...process.env, DEVNET_OUT: out, DEVNET_NETWORK: path.join(out, "network.json"), DEVNET_KEYS: network.keysDir ?? "", DEVNET_GENESIS_TIME: `${network.genesisTime}`};
      execSync(options["on-prepared"], {stdio: ["ignore", 2, 2], env});
    },
    actions: (options.at ?? []).map((text) => shellAction(text, out)),
  });
  console.log(JSON.stringify(summary, null, 1));
  if (options["prepare-only"]) return 0;
  const least = options["min-participation"];
  if (least !== undefined && !(summary.attestations.externalTargetRate >= least && summary.proposals.externalRate >= least)) return 1;
  if (options["require-finality"] && !(summary.finalizedEpoch > 0)) return 1;
  return 0;
}

main().then(
  (code) => process.exit(code),
  (e) => {
    console.error("run_devnet:", e.stack ?? e.message);
    process.exit(2);
  }
);
