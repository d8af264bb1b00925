// Counts what the chain saw: proposals, attestations, sync committees, by group (external or control validators).

/** Proposals due and included, from slot 1 on. blocks: beacon API answers by slot; proposers: validator index by slot. */
export function proposalFigures({blocks, proposers, slots, isExternal}) {
  const figures = {external: {due: 0, included: 0}, control: {due: 0, included: 0}, missed: [], byGraffiti: {}, forks: {}};
  for (let slot = 1; slot <= slots; slot++) {
    const block = blocks.get(slot);
    const proposer = block ? Number(block.data.message.proposer_index) : proposers.get(slot);
    const group = proposer === undefined ? null : isExternal(proposer) ? "external" : "control";
    if (group) figures[group].due++;
    if (!block) {
      figures.missed.push({slot, proposer: proposer ?? null, group});
      continue;
    }
    figures[group].included++;
    figures.forks[block.version] = (figures.forks[block.version] ?? 0) + 1;
    const graffiti = graffitiOf(block);
    figures.byGraffiti[graffiti] = (figures.byGraffiti[graffiti] ?? 0) + 1;
  }
  figures.externalRate = rate(figures.external.included, figures.external.due);
  return figures;
}

/** The validator client a block came from, where graffiti is per client. Lodestar appends its name after a blank. */
function graffitiOf(block) {
  return Buffer.from(block.data.message.body.graffiti.slice(2), "hex").toString("utf8").replace(/\0+$/, "").split(" ")[0];
}

/** Sync committee bits set in the blocks. Slot 1 is left out: its aggregate is over slot 0, before anybody worked. */
export function syncFigures({blocks, syncCommittees, slotsPerEpoch, isExternal}) {
  const figures = {external: {possible: 0, seen: 0}, control: {possible: 0, seen: 0}, incompleteSlots: []};
  for (const [slot, block] of blocks) {
    if (slot <= 1) continue;
    const committee = syncCommittees.get(Math.floor(slot / slotsPerEpoch)) ?? syncCommittees.get(0) ?? [];
    const bits = Buffer.from(block.data.message.body.sync_aggregate.sync_committee_bits.slice(2), "hex");
    let complete = true;
    committee.forEach((validator, position) => {
      const group = figures[isExternal(validator) ? "external" : "control"];
      group.possible++;
      if ((bits[position >> 3] >> (position & 7)) & 1) group.seen++;
      else complete = false;
    });
    if (!complete) figures.incompleteSlots.push(slot);
  }
  figures.external.rate = rate(figures.external.seen, figures.external.possible);
  figures.control = figures.control.possible ? {...figures.control, rate: rate(figures.control.seen, figures.control.possible)} : null;
  return figures;
}

/** Attestation flags by epoch. The last epoch is left out: its attestations are still coming in. */
export function attestationFigures({participation, lastEpoch, isExternal}) {
  const perEpoch = [];
  const missed = [];
  const total = {validators: 0, source: 0, target: 0, head: 0};
  for (const [epoch, flags] of [...participation].sort((x, y) => x[0] - y[0])) {
    if (epoch >= lastEpoch) continue;
    const row = {epoch};
    for (const group of ["external", "control"]) {
      const own = flags.filter((_, i) => isExternal(i) === (group === "external"));
      if (!own.length) continue;
      const having = (bit) => own.filter((x) => x & bit).length;
      row[group] = {validators: own.length, source: having(1), target: having(2), head: having(4)};
    }
    perEpoch.push(row);
    for (const k of Object.keys(total)) total[k] += row.external[k];
    flags.forEach((x, i) => {
      if (isExternal(i) && x !== 7) missed.push({epoch, validator: i, source: !!(x & 1), target: !!(x & 2), head: !!(x & 4)});
    });
  }
  return {external: total, externalTargetRate: rate(total.target, total.validators), perEpoch, missedExternal: missed.slice(0, 64), missedExternalCount: missed.length};
}

function rate(part, whole) {
  return whole ? Number((part / whole).toFixed(4)) : null;
}
