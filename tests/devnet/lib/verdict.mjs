// Says whether a run of the cluster reached what it has to: a list of checks, each with what was seen.

/**
 * summary: of a run. signing: of readSigning. signatures: of checkSignatures. audit: of auditDatabases, or null where
 * there were no databases. exits: how each node ended, [{code, signal}]. finality: whether the run was long enough for it.
 * outage: {vc, fromMs, toMs}, or null: in that time the requests of that validator client may fail, for its node was
 * stopped; after it they have to be answered again. tolerance: the share of blocks, votes and sync committee bits that
 * may be missing, 0 where the machine is fast enough for a perfect chain; what is about safety never has any.
 * Returns [{name, ok, seen}].
 */
export function judge({summary, signing, signatures, audit, exits, finality, outage, tolerance = 0}) {
  const checks = [];
  const check = (name, ok, seen) => checks.push({name, ok: Boolean(ok), seen});
  const {proposals, attestations, syncCommittee, slotsRun} = summary;
  const enough = (part, whole) => whole > 0 && part >= whole * (1 - tolerance);

  // Slot 1 is left out: its block is asked for while the clients are still finding their feet.
  const missed = proposals.missed.filter((m) => m.slot > 1).map((m) => m.slot);
  check("every slot after 1 has its block", enough(slotsRun - 1 - missed.length, slotsRun - 1),
    `${proposals.external.included} of ${proposals.external.due} proposals included${missed.length ? `, missed in slots ${missed.join(" ")}` : ""}`);
  const {validators, source, target, head} = attestations.external;
  check("every attestation has right source, target and head", [source, target, head].every((n) => enough(n, validators)),
    `source ${source}, target ${target}, head ${head} of ${validators} over ${attestations.perEpoch.length} epochs`);
  const sync = syncCommittee.external;
  check("the sync committee is complete", enough(sync.seen, sync.possible),
    `${sync.seen} of ${sync.possible} bits${syncCommittee.incompleteSlots.length ? `, incomplete in slots ${syncCommittee.incompleteSlots.join(" ")}` : ""}`);
  if (finality) check("the chain justified and finalised", summary.justifiedEpoch > 0 && summary.finalizedEpoch > 0, `justified epoch ${summary.justifiedEpoch}, finalised epoch ${summary.finalizedEpoch}`);
  check("the beacon nodes agree on the head", summary.beaconNodesAgree, `${summary.beaconNodes} beacon node(s), head slot ${summary.headSlot}`);

  const doubled = [...signing.signed].filter(([, roots]) => roots.size > 1).map(([duty]) => duty);
  check("one signature per slashable duty", signing.signed.size > 0 && doubled.length === 0,
    `${signing.signed.size} blocks and attestations signed${doubled.length ? `, two messages for ${doubled.slice(0, 3).join("; ")}` : ""}`);
  check("every signature verifies under the validator's key", signatures.good > 0 && signatures.bad === 0 && signatures.wrongRoot === 0,
    `${signatures.good} good, ${signatures.bad} bad, ${signatures.wrongRoot} requests whose signing root is not that of their fields`);
  const mayFail = (f) => outage && f.vc === outage.vc && f.t >= outage.fromMs && f.t <= outage.toMs;
  // Clients whose beacon nodes saw a late block at different times vote differently, and only one vote can be signed:
  // no fault of the signer, but not to be seen where the chain is perfect.
  const lostVotes = signing.lost.filter((r) => r.type === "ATTESTATION").length;
  const unwanted = signing.failures.filter((f) => !mayFail(f));
  const counts = [[signing.lost.length - lostVotes, "blocks lost"], [lostVotes, "attestations lost"], [signing.failures.length - unwanted.length, "requests failed at the stopped node"]];
  check("412 only for blocks that lost, and nothing else failed", unwanted.length === 0 && (lostVotes === 0 || tolerance > 0),
    counts.filter(([n], i) => n || !i).map(([n, what]) => `${n} ${what}`).join(", ") + (unwanted.length ? `, ${unwanted.length} others failed: ${describe(unwanted)}` : ""));
  if (outage) {
    const after = ((signing.lastSigned[outage.vc] ?? 0) - outage.toMs) / 1000;
    check("the node that came back signs again", after > 0, `last signature for ${outage.vc} ${Math.abs(after).toFixed(0)} s ${after > 0 ? "after" : "before"} the outage's end`);
  }
  check("no process ended by itself", summary.processesThatEnded.length === 0, summary.processesThatEnded.map((p) => `${p.name} (${p.signal ?? p.code})`).join(", ") || "none");
  check("the nodes shut down when told to", exits.every((e) => e?.code === 0), exits.map((e) => e?.signal ?? e?.code ?? "?").join(" "));

  if (audit) {
    check("no contradictory records in the slashing databases", audit.problems.length === 0 && audit.records > 0,
      `${audit.records} records in ${audit.nodes} databases${audit.problems.length ? `: ${audit.problems.slice(0, 3).join("; ")}` : ""}`);
    check("what was signed is recorded on a threshold of nodes", audit.unrecorded.length === 0 && audit.compared > 0,
      `${audit.compared} signed messages looked up${audit.unrecorded.length ? `, too few records of ${audit.unrecorded.slice(0, 3).join("; ")}` : ""}`);
  }
  return checks;
}

/** The most frequent kinds of failure, in words. */
function describe(failures) {
  const kinds = {};
  for (const f of failures) {
    const kind = `${f.vc} ${f.type} ${f.status} ${f.reason.slice(0, 90)}`;
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return Object.entries(kinds).sort((x, y) => y[1] - x[1]).slice(0, 3).map(([kind, n]) => `${n} x ${kind}`).join("; ");
}
