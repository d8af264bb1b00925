// Reads the nodes' slashing databases after a run and looks for records that contradict each other.
// The tables are those of slashing-db/src/store/schema.sql.
import fs from "node:fs";
import path from "node:path";
import {DatabaseSync} from "node:sqlite";

// A record is first appended to the journal and moved to its own table later; it counts in either place.
const ARCHIVED = `
  SELECT validator_id AS validator, NULL AS source, slot AS at, signing_root AS root FROM blocks
  UNION SELECT validator_id, source_epoch, target_epoch, signing_root FROM attestations`;

// A message in the journal: validator's id (8 bytes), 0 for a block or 1 for a vote (1), source epoch (8), slot or
// target epoch (8), signing root (32); numbers have the low byte first.
const MESSAGE_BYTES = 57;

/**
 * databases: one file per node; copies are read, made in workDir. threshold: the partials a signature takes.
 * signed: Map of duty ("block PUBKEY SLOT", "attestation PUBKEY TARGET") to the Set of roots that clients got signatures for.
 * Returns {nodes, records, perNode, problems, compared, unrecorded}: `problems` in words, and the signed messages that
 * fewer than `threshold` nodes have on record.
 */
export function auditDatabases({databases, threshold, signed, workDir}) {
  const perNode = databases.map((file, i) => readRecords(copyDatabase(file, path.join(workDir, `node${i}`))));
  const problems = perNode.flatMap((records, i) => contradictions(records).map((p) => `node${i}: ${p}`));
  const holders = new Map(); // duty -> root -> number of nodes
  for (const records of perNode) {
    for (const [duty, roots] of rootsByDuty(records)) {
      const counts = holders.get(duty) ?? new Map();
      for (const root of roots) counts.set(root, (counts.get(root) ?? 0) + 1);
      holders.set(duty, counts);
    }
  }
  for (const [duty, counts] of holders) {
    const signable = [...counts].filter(([, nodes]) => nodes >= threshold);
    if (signable.length > 1) problems.push(`${duty}: ${signable.length} messages each on ${threshold} nodes or more`);
  }
  const unrecorded = [];
  let compared = 0;
  for (const [duty, roots] of signed) {
    for (const root of roots) {
      compared++;
      const nodes = holders.get(duty)?.get(root) ?? 0;
      if (nodes < threshold) unrecorded.push(`${duty} (${nodes} of ${threshold})`);
    }
  }
  return {nodes: databases.length, records: perNode.reduce((n, r) => n + r.length, 0), perNode: perNode.map((r) => r.length), problems, compared, unrecorded};
}

/** What contradicts within one node's records: two messages for one duty, or a vote that surrounds another. */
export function contradictions(records) {
  const problems = [];
  for (const [duty, roots] of rootsByDuty(records)) if (roots.size > 1) problems.push(`${duty}: ${roots.size} messages`);
  const byValidator = Map.groupBy(records.filter((r) => r.kind === "attestation"), (r) => r.pubkey);
  for (const [pubkey, votes] of byValidator) {
    for (const outer of votes) {
      const inner = votes.find((v) => outer.source < v.source && v.at < outer.at);
      if (inner) problems.push(`attestation ${pubkey}: ${outer.source}->${outer.at} surrounds ${inner.source}->${inner.at}`);
    }
  }
  return problems;
}

function rootsByDuty(records) {
  const duties = new Map();
  for (const r of records) {
    const duty = `${r.kind} ${r.pubkey} ${r.at}`;
    duties.set(duty, (duties.get(duty) ?? new Set()).add(r.root));
  }
  return duties;
}

/** [{kind, pubkey, source, at, root}], hex with 0x. */
function readRecords(file) {
  const db = new DatabaseSync(file);
  try {
    const pubkeys = new Map(db.prepare("SELECT id, public_key FROM validators").all().map((v) => [v.id, hex(v.public_key)]));
    const journal = db.prepare("SELECT messages FROM journal ORDER BY sequence").all().flatMap((entry) => messagesOf(entry.messages));
    const records = [...journal, ...db.prepare(ARCHIVED).all()].map((r) => ({
      kind: r.source === null ? "block" : "attestation",
      pubkey: pubkeys.get(r.validator),
      source: r.source,
      at: r.at,
      root: hex(r.root),
    }));
    return [...new Map(records.map((r) => [JSON.stringify(r), r])).values()];
  } finally {
    db.close();
  }
}

/** The messages of a journal entry. */
function messagesOf(blob) {
  const bytes = Buffer.from(blob);
  if (bytes.length % MESSAGE_BYTES !== 0) throw Error(`a journal entry of ${bytes.length} bytes is not one of messages of ${MESSAGE_BYTES}`);
  return Array.from({length: bytes.length / MESSAGE_BYTES}, (_, i) => {
    const message = bytes.subarray(i * MESSAGE_BYTES, (i + 1) * MESSAGE_BYTES);
    const number = (at) => Number(message.readBigUInt64LE(at));
    return {validator: number(0), source: message[8] === 0 ? null : number(9), at: number(17), root: message.subarray(25)};
  });
}

const hex = (bytes) => "0x" + Buffer.from(bytes).toString("hex");

/** Copies a database with its write-ahead log, which a killed process leaves behind; the original stays untouched. */
function copyDatabase(file, dir) {
  fs.rmSync(dir, {recursive: true, force: true});
  fs.mkdirSync(dir, {recursive: true});
  const copy = path.join(dir, path.basename(file));
  fs.copyFileSync(file, copy);
  if (fs.existsSync(`${file}-wal`)) fs.copyFileSync(`${file}-wal`, `${copy}-wal`);
  return copy;
}
