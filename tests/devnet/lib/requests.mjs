// What is told from the recorded requests about slashable duties: which messages were signed, which were refused.
import {readLines} from "./util.mjs";

/**
 * The slashable duty of a recorded request as {kind, pubkey, at, source?, root}, or null. `at` is the slot of a block,
 * the target epoch of an attestation: for one validator, kind and `at` only one root may ever be signed.
 */
export function slashableDuty(row) {
  const pubkey = row.pubkey?.toLowerCase();
  if (row.type === "BLOCK_V2") {
    const {block_header: header, block} = row.body.beacon_block;
    return {kind: "block", pubkey, at: Number((header ?? block).slot), root: row.body.signingRoot};
  }
  if (row.type === "ATTESTATION") {
    const {source, target} = row.body.attestation;
    return {kind: "attestation", pubkey, at: Number(target.epoch), source: Number(source.epoch), root: row.body.signingRoot};
  }
  return null;
}

export const dutyKey = (d) => `${d.kind} ${d.pubkey} ${d.at}`;

/**
 * Reads the recorders' files: {
 *   signed: Map of dutyKey to the Set of roots that were signed for it,
 *   lastSigned: when each validator client last got a signature, in ms since 1970, by its name,
 *   lost: requests refused with 412 for a block or an attestation where another one was signed for that duty,
 *   failures: all others that were not answered with 200: [{vc, t, status, type, pubkey, reason}] }
 */
export function readSigning(files) {
  const rows = files.flatMap(readLines);
  const signed = new Map();
  const lastSigned = {};
  for (const row of rows) {
    if (row.type && row.status === 200) lastSigned[row.vc] = Math.max(lastSigned[row.vc] ?? 0, row.t);
    const duty = slashableDuty(row);
    if (!duty || row.status !== 200) continue;
    const roots = signed.get(dutyKey(duty)) ?? new Set();
    signed.set(dutyKey(duty), roots.add(duty.root));
  }
  const lost = [];
  const failures = [];
  for (const row of rows) {
    if (row.status === 200) continue;
    const duty = slashableDuty(row);
    const other = duty && [...(signed.get(dutyKey(duty)) ?? [])].some((root) => root !== duty.root);
    if (row.status === 412 && other) lost.push(row);
    else {
      const reason = typeof row.response === "string" ? row.response : row.error ?? JSON.stringify(row.response ?? "");
      failures.push({vc: row.vc, t: row.t, status: row.status, type: row.type ?? row.path, pubkey: row.pubkey, reason: reason.slice(0, 200)});
    }
  }
  return {signed, lastSigned, lost, failures};
}
