#!/usr/bin/env node
// check_captures.mjs --config config.json [--preset minimal] [--sample-signatures 1] FILE.jsonl ...
// For each recorded signing request: recomputes the signing root from the typed fields alone (as a signer that does
// not trust `signingRoot` must), compares it with the client's signingRoot, and verifies the returned signature under
// the request's public key. Prints counts by type; exit status 1 on any mismatch or bad signature.
import fs from "node:fs";
import {parseArgs} from "node:util";
import {checkSignatures} from "../lib/check_signatures.mjs";
import {loadEthereum} from "../lib/ethereum.mjs";
import {readLines} from "../lib/util.mjs";

const {values: a, positionals} = parseArgs({
  allowPositionals: true,
  options: {config: {type: "string"}, preset: {type: "string", default: "minimal"}, "sample-signatures": {type: "string", default: "1"}},
});
const {signingRootOf} = await loadEthereum(a.preset);
const recompute = signingRootOf(a.config ? JSON.parse(fs.readFileSync(a.config, "utf8")) : {});
const {counts, problems, bad} = checkSignatures(positionals.flatMap(readLines), recompute, Number(a["sample-signatures"]));
console.log(JSON.stringify({counts, problems: problems.slice(0, 5), problemCount: problems.length}, null, 1));
process.exit(problems.length || bad ? 1 : 0);
