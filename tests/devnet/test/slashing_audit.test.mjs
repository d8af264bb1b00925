import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import {DatabaseSync} from "node:sqlite";
import {after, test} from "node:test";
import {auditDatabases} from "../lib/slashing_audit.mjs";

const SCHEMA = fs.readFileSync(path.join(import.meta.dirname, "../../../slashing-db/src/store/schema.sql"), "utf8");
const DIR = fs.mkdtempSync(path.join(os.tmpdir(), "slashing-audit-"));
after(() => fs.rmSync(DIR, {recursive: true}));

const KEY = "0x" + "aa".repeat(48);
const root = (byte) => "0x" + byte.repeat(32);
const blob = (hex) => Buffer.from(hex.slice(2), "hex");

/** A message as the journal holds it. */
function message(validator, source, at, r) {
  const bytes = Buffer.alloc(25);
  bytes.writeBigUInt64LE(BigInt(validator), 0);
  bytes[8] = source === null ? 0 : 1;
  bytes.writeBigUInt64LE(BigInt(source ?? 0), 9);
  bytes.writeBigUInt64LE(BigInt(at), 17);
  return Buffer.concat([bytes, blob(r)]);
}

/** A node's database: `journal` and `moved` hold [slot, root] for a block, [source, target, root] for an attestation. */
function database(name, {journal = [], moved = []}) {
  const file = path.join(DIR, `${name}.sqlite`);
  const db = new DatabaseSync(file);
  db.exec(SCHEMA);
  db.prepare("INSERT INTO validators (id, public_key, contradictory, signed) VALUES (7, ?, 0, 1)").run(blob(KEY));
  if (journal.length > 0) {
    const messages = Buffer.concat(journal.map((record) => message(7, ...(record.length === 2 ? [null, ...record] : record))));
    db.prepare("INSERT INTO journal (sequence, messages, chain) VALUES (?, ?, 0)").run(journal.length, messages);
  }
  for (const record of moved) {
    if (record.length === 2) db.prepare("INSERT INTO blocks (slot, validator_id, signing_root) VALUES (?, 7, ?)").run(record[0], blob(record[1]));
    else db.prepare("INSERT INTO attestations (source_epoch, target_epoch, validator_id, signing_root) VALUES (?, ?, 7, ?)").run(record[0], record[1], blob(record[2]));
  }
  db.close();
  return file;
}

function audit(name, nodes, signed = {}) {
  const databases = nodes.map((records, i) => database(`${name}-${i}`, records));
  return auditDatabases({databases, threshold: 3, signed: new Map(Object.entries(signed).map(([duty, roots]) => [duty, new Set(roots)])), workDir: path.join(DIR, name)});
}

test("nodes that recorded the same messages do not contradict each other", () => {
  const records = {journal: [[5, root("01")]], moved: [[0, 1, root("02")], [5, root("01")]]};
  const result = audit("same", [records, records, records, {}], {[`block ${KEY} 5`]: [root("01")], [`attestation ${KEY} 1`]: [root("02")]});
  assert.deepEqual(result.problems, []);
  assert.deepEqual(result.unrecorded, []);
  assert.equal(result.compared, 2);
  assert.deepEqual(result.perNode, [2, 2, 2, 0], "a record counts once, in the journal or out of it");
});

test("two blocks for a slot in one node are found, in the journal and out of it", () => {
  const result = audit("double-block", [{journal: [[5, root("01")]], moved: [[5, root("02")]]}]);
  assert.deepEqual(result.problems, [`node0: block ${KEY} 5: 2 messages`]);
});

test("a surrounding vote in one node is found", () => {
  const result = audit("surround", [{journal: [[2, 3, root("01")], [1, 4, root("02")]]}]);
  assert.deepEqual(result.problems, [`node0: attestation ${KEY}: 1->4 surrounds 2->3`]);
});

test("nodes that recorded different messages are fine while only one can be signed", () => {
  const [a, b] = [{journal: [[5, root("01")]]}, {journal: [[5, root("02")]]}];
  assert.deepEqual(audit("minority", [a, a, a, b]).problems, []);
});

test("two messages each on a threshold of nodes are found", () => {
  const [a, b] = [{journal: [[5, root("01")]]}, {journal: [[5, root("02")]]}];
  const result = audit("split", [a, a, a, b, b, b]);
  assert.deepEqual(result.problems, [`block ${KEY} 5: 2 messages each on 3 nodes or more`]);
});

test("a signed message that too few nodes recorded is found", () => {
  const a = {journal: [[5, root("01")]]};
  const result = audit("unrecorded", [a, a, {}, {}], {[`block ${KEY} 5`]: [root("01")]});
  assert.deepEqual(result.unrecorded, [`block ${KEY} 5 (2 of 3)`]);
});
