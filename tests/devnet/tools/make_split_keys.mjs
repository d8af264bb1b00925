#!/usr/bin/env node
// Makes validators whose whole secret is never formed.
// make_split_keys.mjs --count 4 --parts 3 --out DIR : group public keys made as a DKG would, each the sum of the
// parts' public keys. The whole secret is never formed. Writes DIR/pubkeys.json and DIR/keys.json (for stub_signer).
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import {parseArgs} from "node:util";
import {SecretKey, aggregatePublicKeys} from "@chainsafe/blst";
const {values: a} = parseArgs({options: {count: {type: "string", default: "4"}, parts: {type: "string", default: "3"}, out: {type: "string", default: "."}}});
fs.mkdirSync(a.out, {recursive: true});
const keys = Array.from({length: Number(a.count)}, () => {
  const shares = Array.from({length: Number(a.parts)}, () => SecretKey.fromKeygen(crypto.randomBytes(32)));
  const pubkey = "0x" + Buffer.from(aggregatePublicKeys(shares.map((s) => s.toPublicKey())).toBytes()).toString("hex");
  return {pubkey, shares: shares.map((s) => "0x" + Buffer.from(s.toBytes()).toString("hex"))};
});
fs.writeFileSync(path.join(a.out, "keys.json"), JSON.stringify(keys, null, 1), {mode: 0o600});
fs.writeFileSync(path.join(a.out, "pubkeys.json"), JSON.stringify(keys.map((k) => k.pubkey), null, 1));
