#!/usr/bin/env node
// check_captures.mjs --config config.json [--preset minimal] FILE.jsonl ...
// For each recorded signing request: recompute the signing root from the typed fields alone (as a signer that does
// not trust `signingRoot` must), compare it with the client's signingRoot, and verify the returned signature under
// the request's public key. Prints counts per type; exit status 1 on any mismatch or bad signature.
import fs from "node:fs";
import {parseArgs} from "node:util";
import {readLines} from "../lib/util.mjs";
const {values: a, positionals} = parseArgs({
  allowPositionals: true,
  options: {config: {type: "string"}, preset: {type: "string", default: "minimal"}, "sample-signatures": {type: "string", default: "1"}},
});
process.env.LODESTAR_PRESET = a.preset;
const {PublicKey, Signature, verify} = await import("@chainsafe/blst");

const cfg = a.config ? JSON.parse(fs.readFileSync(a.config, "utf8")) : {};
const {bytes, signingRootOf} = await import("../lib/signing_root.mjs");
const recompute = signingRootOf(cfg);

const counts = {};
const problems = [];
for (const r of positionals.flatMap(readLines).filter((x) => x.type ?? x.body?.type)) {
  const c = (counts[r.body.type] ??= {requests: 0, rootMatches: 0, rootDiffers: 0, rootNotGiven: 0, notRecomputed: 0, signatureOk: 0, signatureBad: 0, unsigned: 0});
  c.requests++;
  let root = null;
  try {
    root = recompute(r.body);
    if (!root) c.notRecomputed++;
    else if (!r.body.signingRoot) c.rootNotGiven++;
    else if (root.equals(bytes(r.body.signingRoot))) c.rootMatches++;
    else {
      c.rootDiffers++;
      problems.push({type: r.body.type, body: r.body, recomputed: "0x" + root.toString("hex")});
    }
  } catch (e) {
    c.notRecomputed++;
    problems.push({type: r.body.type, error: e.message});
  }
  const text = r.response?.signature ?? (typeof r.response === "string" ? r.response.trim() : undefined);
  if (r.status !== 200 || !text) c.unsigned++;
  else if (Math.random() < Number(a["sample-signatures"])) {
    let ok = false;
    try {
      ok = verify(root ?? bytes(r.body.signingRoot), PublicKey.fromBytes(bytes(r.pubkey), true), Signature.fromBytes(bytes(text), true));
    } catch (e) {
      problems.push({type: r.body.type, signature: text, error: e.message});
    }
    ok ? c.signatureOk++ : c.signatureBad++;
  }
}
console.log(JSON.stringify({counts, problems: problems.slice(0, 5), problemCount: problems.length}, null, 1));
process.exit(problems.length || Object.values(counts).some((c) => c.signatureBad) ? 1 : 0);
