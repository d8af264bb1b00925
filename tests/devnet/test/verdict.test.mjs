import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import {after, test} from "node:test";
import {readSigning} from "../lib/requests.mjs";
import {judge} from "../lib/verdict.mjs";

const DIR = fs.mkdtempSync(path.join(os.tmpdir(), "verdict-"));
after(() => fs.rmSync(DIR, {recursive: true}));

const KEY = "0x" + "aa".repeat(48);
const block = (vc, slot, signingRoot, status, t = 0) => ({vc, t, status, type: "BLOCK_V2", pubkey: KEY, body: {signingRoot, beacon_block: {block_header: {slot: `${slot}`}}}});
const vote = (vc, target, signingRoot, status, t = 0) => ({vc, t, status, type: "ATTESTATION", pubkey: KEY, body: {signingRoot, attestation: {source: {epoch: "0"}, target: {epoch: `${target}`}}}});

/** What readSigning makes of these requests. */
function signingOf(rows) {
  const file = path.join(DIR, "requests.jsonl");
  fs.writeFileSync(file, rows.map((r) => JSON.stringify(r) + "\n").join(""));
  return readSigning([file]);
}

/** A run in which all went as it has to, with `changes` made to it. */
function run(changes = {}) {
  return {
    summary: {
      slotsRun: 34, headSlot: 34, justifiedEpoch: 3, finalizedEpoch: 2, beaconNodes: 4, beaconNodesAgree: true, processesThatEnded: [],
      proposals: {external: {due: 34, included: 33}, missed: [{slot: 1}]},
      attestations: {external: {validators: 64, source: 64, target: 64, head: 64}, perEpoch: [{}, {}, {}, {}]},
      syncCommittee: {external: {possible: 1056, seen: 1056}, incompleteSlots: []},
      ...changes.summary,
    },
    signing: signingOf(changes.requests ?? [block("vc0", 2, "0x01", 200), block("vc1", 2, "0x02", 412), vote("vc0", 1, "0x03", 200)]),
    signatures: {good: 100, bad: 0, wrongRoot: 0, ...changes.signatures},
    audit: {nodes: 4, records: 400, problems: [], compared: 100, unrecorded: [], ...changes.audit},
    exits: changes.exits ?? [{code: 0, signal: null}],
    finality: true,
    outage: changes.outage ?? null,
    tolerance: changes.tolerance ?? 0,
  };
}
const failing = (changes) => judge(run(changes)).filter((c) => !c.ok).map((c) => c.name);

test("a perfect run passes every check, a block of slot 1 missing and a lost block included", () => {
  assert.deepEqual(failing(), []);
});

for (const [what, changes, check] of [
  ["a missed block", {summary: {proposals: {external: {due: 34, included: 33}, missed: [{slot: 7}]}}}, "every slot after 1 has its block"],
  ["a wrong head vote", {summary: {attestations: {external: {validators: 64, source: 64, target: 64, head: 63}, perEpoch: []}}}, "every attestation has right source, target and head"],
  ["a missing sync committee bit", {summary: {syncCommittee: {external: {possible: 1056, seen: 1055}, incompleteSlots: [3]}}}, "the sync committee is complete"],
  ["no finality", {summary: {finalizedEpoch: 0}}, "the chain justified and finalised"],
  ["beacon nodes on two heads", {summary: {beaconNodesAgree: false}}, "the beacon nodes agree on the head"],
  ["two blocks signed for one slot", {requests: [block("vc0", 2, "0x01", 200), block("vc1", 2, "0x02", 200)]}, "one signature per slashable duty"],
  ["a bad signature", {signatures: {bad: 1}}, "every signature verifies under the validator's key"],
  ["a refused block without a winner", {requests: [block("vc0", 2, "0x01", 412), vote("vc0", 1, "0x03", 200)]}, "412 only for blocks that lost, and nothing else failed"],
  ["a refused attestation", {requests: [vote("vc0", 1, "0x03", 200), vote("vc1", 1, "0x04", 412)]}, "412 only for blocks that lost, and nothing else failed"],
  ["a node that crashed", {summary: {processesThatEnded: [{name: "node2", code: 101}]}}, "no process ended by itself"],
  ["a node that had to be killed in the end", {exits: [{code: null, signal: "SIGKILL"}]}, "the nodes shut down when told to"],
  ["contradictory records", {audit: {problems: ["node0: .."]}}, "no contradictory records in the slashing databases"],
  ["empty databases", {audit: {records: 0}}, "no contradictory records in the slashing databases"],
  ["a signature without its records", {audit: {unrecorded: ["block"]}}, "what was signed is recorded on a threshold of nodes"],
]) {
  test(`${what} fails just its own check`, () => assert.deepEqual(failing(changes), [check]));
}

test("a tolerance allows for some missing votes and lost attestations, not for more, and never for a double signature", () => {
  const lostVote = [vote("vc0", 1, "0x03", 200), vote("vc1", 1, "0x04", 412)];
  const heads = (head) => ({attestations: {external: {validators: 100, source: 100, target: 100, head}, perEpoch: []}});
  assert.deepEqual(failing({tolerance: 0.1, requests: lostVote, summary: heads(90)}), []);
  assert.deepEqual(failing({tolerance: 0.1, summary: heads(89)}), ["every attestation has right source, target and head"]);
  assert.deepEqual(failing({tolerance: 0.1, requests: [vote("vc0", 1, "0x03", 200), vote("vc1", 1, "0x04", 200)]}), ["one signature per slashable duty"]);
});

test("requests may fail at the stopped node while it is away, and only there and then", () => {
  const outage = {vc: "vc1", fromMs: 1000, toMs: 2000};
  const back = vote("vc1", 2, "0x05", 200, 2500);
  const excused = {outage, requests: [back, vote("vc1", 1, "0x03", 502, 1500)]};
  assert.deepEqual(failing(excused), []);
  for (const other of [vote("vc0", 1, "0x03", 502, 1500), vote("vc1", 1, "0x03", 502, 2100)]) {
    assert.deepEqual(failing({outage, requests: [back, other]}), ["412 only for blocks that lost, and nothing else failed"]);
  }
});

test("a stopped node that never signs again fails the run", () => {
  const requests = [vote("vc1", 1, "0x03", 200, 900), vote("vc0", 2, "0x05", 200, 2500)];
  assert.deepEqual(failing({outage: {vc: "vc1", fromMs: 1000, toMs: 2000}, requests}), ["the node that came back signs again"]);
});
