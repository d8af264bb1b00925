#!/usr/bin/env node
// A stand-in remote signer for checking the harness itself: signs whatever signingRoot it is given, or the one it
// computes where the client sends none (--config config.json gives it the fork versions). Answers JSON, or the bare
// signature where the client asks for text/plain.
//   stub_signer.mjs --port 9000 --keys keys.json [--log capture.jsonl] [--delay-ms 0] [--fail-rate 0] [--protect]
//     [--protect-dir DIR] [--fail-key 3] [--config config.json] [--preset minimal]
// It checks nothing, unless --protect: then a second, different block or attestation of one key for one slot or
// target epoch is refused with 412, in memory only. With --protect-dir what was signed first is kept in a directory
// that several stand-ins share: together they behave as a cluster without faults. Never use it for anything else.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import {parseArgs} from "node:util";
import {SecretKey, aggregateSignatures} from "@chainsafe/blst";
import {loadEthereum} from "../lib/ethereum.mjs";

const {values: a} = parseArgs({
  options: {
    port: {type: "string", default: "9000"}, keys: {type: "string"}, log: {type: "string"},
    "delay-ms": {type: "string", default: "0"}, "fail-rate": {type: "string", default: "0"},
    protect: {type: "boolean", default: false}, "protect-dir": {type: "string"},
    config: {type: "string"}, preset: {type: "string", default: "minimal"},
    "fail-key": {type: "string"}, // an index into keys.json: every request for that key is answered 500
  },
});
// keys.json: [{pubkey, secret}] or, for a key nobody holds whole, [{pubkey, shares: [..]}] with additive shares.
const keys = new Map(
  JSON.parse(fs.readFileSync(a.keys, "utf8")).map((k) => [
    k.pubkey.toLowerCase(),
    (k.shares ?? [k.secret]).map((s) => SecretKey.fromBytes(Buffer.from(s.slice(2), "hex"))),
  ])
);
const sign = (parts, root) =>
  parts.length === 1 ? parts[0].sign(root).toBytes() : aggregateSignatures(parts.map((k) => k.sign(root))).toBytes();
const log = a.log ? fs.createWriteStream(a.log, {flags: "a"}) : null;
const delay = Number(a["delay-ms"]);
const failRate = Number(a["fail-rate"]);
const failKey = a["fail-key"] === undefined ? null : [...keys.keys()][Number(a["fail-key"])];

const {signingRootOf} = await loadEthereum(a.preset);
const recompute = signingRootOf(a.config ? JSON.parse(fs.readFileSync(a.config, "utf8")) : {});

const signed = new Map(); // pubkey + duty -> signing root
function refused(pubkey, body) {
  const duty =
    body.type === "BLOCK_V2" ? `block ${body.beacon_block.block_header.slot}`
    : body.type === "ATTESTATION" ? `target ${body.attestation.target.epoch}`
    : null;
  if (!duty) return false;
  const key = `${pubkey} ${duty}`;
  const first = a["protect-dir"] ? firstInDir(key, body.signingRoot) : (signed.get(key) ?? body.signingRoot);
  signed.set(key, first);
  return first !== body.signingRoot;
}

/** The root that any stand-in noted first for this duty. A link appears whole or not at all, and only once. */
function firstInDir(key, root) {
  const file = path.join(a["protect-dir"], key.replaceAll(" ", "-"));
  const own = `${file}.${process.pid}`;
  fs.writeFileSync(own, root);
  try {
    fs.linkSync(own, file);
  } catch (e) {
    if (e.code !== "EEXIST") throw e;
  } finally {
    fs.unlinkSync(own);
  }
  return fs.readFileSync(file, "utf8");
}

function send(res, status, body) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  res.writeHead(status, {"Content-Type": typeof body === "string" ? "text/plain" : "application/json"});
  res.end(text);
}

http
  .createServer((req, res) => {
    const {pathname} = new URL(req.url, "http://x");
    if (req.method === "GET" && pathname === "/upcheck") return send(res, 200, {status: "OK"});
    if (req.method === "GET" && pathname === "/healthcheck") return send(res, 200, {status: "UP", outcome: "UP", checks: []});
    if (req.method === "GET" && pathname === "/api/v1/eth2/publicKeys") return send(res, 200, [...keys.keys()]);
    const m = /^\/api\/v1\/eth2\/sign\/(0x[0-9a-fA-F]{96})$/.exec(pathname);
    if (req.method !== "POST" || !m) return send(res, 404, "not found");
    const chunks = [];
    req.on("data", (c) => chunks.push(c));
    req.on("end", () => {
      const raw = Buffer.concat(chunks).toString();
      let body;
      try {
        body = JSON.parse(raw);
      } catch {
        return send(res, 400, "bad json");
      }
      const key = keys.get(m[1].toLowerCase());
      log?.write(JSON.stringify({t: Date.now(), pubkey: m[1], accept: req.headers.accept, body}) + "\n");
      if (!key) return send(res, 404, "unknown key");
      if (m[1].toLowerCase() === failKey) return send(res, 500, "injected failure of this key");
      if (Math.random() < failRate) return send(res, 500, "injected failure");
      if (body.signingRoot === undefined) {
        try {
          body.signingRoot = "0x" + recompute(body).toString("hex");
        } catch (e) {
          return send(res, 400, `cannot compute the signing root: ${e.message}`);
        }
      }
      if (!/^0x[0-9a-fA-F]{64}$/.test(body.signingRoot)) return send(res, 400, "bad signingRoot");
      if ((a.protect || a["protect-dir"]) && refused(m[1].toLowerCase(), body)) return send(res, 412, "slashing protection: another root was signed");
      const signature = "0x" + Buffer.from(sign(key, Buffer.from(body.signingRoot.slice(2), "hex"))).toString("hex");
      const plain = (req.headers.accept ?? "").startsWith("text/plain");
      setTimeout(() => send(res, 200, plain ? signature : {signature}), delay);
    });
  })
  .listen(Number(a.port), "127.0.0.1", () => console.log(`stub signer on 127.0.0.1:${a.port}, ${keys.size} keys`));
process.on("SIGINT", () => process.exit(0));
