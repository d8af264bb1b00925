// The signing root of a Web3Signer request, from its typed fields and fork_info alone.
// Only to be imported through ethereum.mjs, which chooses the preset first.
import * as P from "@lodestar/params";
import {ssz} from "@lodestar/types";

export const bytes = (h) => Buffer.from(h.slice(2), "hex");

/** cfg: the chain's config.json; only VOLUNTARY_EXIT and VALIDATOR_REGISTRATION need it. */
export function signingRootOf(cfg) {
  const ZERO32 = Buffer.alloc(32);
  const genesisVersion = bytes(cfg.GENESIS_FORK_VERSION ?? "0x00000000");

  function domain(type, version, gvr) {
    const root = ssz.phase0.ForkData.hashTreeRoot({currentVersion: version, genesisValidatorsRoot: gvr});
    return Buffer.concat([Buffer.from(type), Buffer.from(root).subarray(0, 28)]);
  }
  const signingRoot = (objectRoot, d) => Buffer.from(ssz.phase0.SigningData.hashTreeRoot({objectRoot, domain: d}));

  /** The domain at an epoch, by the request's own fork_info. */
  function forkDomain(body, type, epoch) {
    const f = body.fork_info.fork;
    const version = Number(epoch) < Number(f.epoch) ? f.previous_version : f.current_version;
    return domain(type, bytes(version), bytes(body.fork_info.genesis_validators_root));
  }
  const epochOf = (slot) => Math.floor(Number(slot) / P.SLOTS_PER_EPOCH);

  function recompute(body) {
    switch (body.type) {
      case "BLOCK_V2": {
        const b = body.beacon_block;
        if (!b.block_header) throw Error("no block_header");
        const h = ssz.phase0.BeaconBlockHeader.fromJson(b.block_header);
        return signingRoot(ssz.phase0.BeaconBlockHeader.hashTreeRoot(h), forkDomain(body, P.DOMAIN_BEACON_PROPOSER, epochOf(h.slot)));
      }
      case "ATTESTATION": {
        const d = ssz.phase0.AttestationData.fromJson(body.attestation);
        return signingRoot(ssz.phase0.AttestationData.hashTreeRoot(d), forkDomain(body, P.DOMAIN_BEACON_ATTESTER, d.target.epoch));
      }
      case "AGGREGATION_SLOT": {
        const slot = Number(body.aggregation_slot.slot);
        return signingRoot(ssz.Slot.hashTreeRoot(slot), forkDomain(body, P.DOMAIN_SELECTION_PROOF, epochOf(slot)));
      }
      case "AGGREGATE_AND_PROOF": {
        const v = ssz.phase0.AggregateAndProof.fromJson(body.aggregate_and_proof);
        return signingRoot(ssz.phase0.AggregateAndProof.hashTreeRoot(v), forkDomain(body, P.DOMAIN_AGGREGATE_AND_PROOF, epochOf(v.aggregate.data.slot)));
      }
      case "AGGREGATE_AND_PROOF_V2": {
        // {version, data}, or, from some clients (Vero up to 1.3), the object itself
        const w = body.aggregate_and_proof;
        const data = w.data ?? w;
        const fork = w.version?.toLowerCase() ?? (data.aggregate.committee_bits ? "electra" : "phase0");
        const t = ssz[fork].AggregateAndProof ?? (data.aggregate.committee_bits ? ssz.electra : ssz.phase0).AggregateAndProof;
        const v = t.fromJson(data);
        return signingRoot(t.hashTreeRoot(v), forkDomain(body, P.DOMAIN_AGGREGATE_AND_PROOF, epochOf(v.aggregate.data.slot)));
      }
      case "RANDAO_REVEAL": {
        const epoch = Number(body.randao_reveal.epoch);
        return signingRoot(ssz.Epoch.hashTreeRoot(epoch), forkDomain(body, P.DOMAIN_RANDAO, epoch));
      }
      case "SYNC_COMMITTEE_MESSAGE": {
        const m = body.sync_committee_message;
        return signingRoot(bytes(m.beacon_block_root), forkDomain(body, P.DOMAIN_SYNC_COMMITTEE, epochOf(m.slot)));
      }
      case "SYNC_COMMITTEE_SELECTION_PROOF": {
        const m = ssz.altair.SyncAggregatorSelectionData.fromJson(body.sync_aggregator_selection_data);
        return signingRoot(ssz.altair.SyncAggregatorSelectionData.hashTreeRoot(m), forkDomain(body, P.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF, epochOf(m.slot)));
      }
      case "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF": {
        const m = ssz.altair.ContributionAndProof.fromJson(body.contribution_and_proof);
        return signingRoot(ssz.altair.ContributionAndProof.hashTreeRoot(m), forkDomain(body, P.DOMAIN_CONTRIBUTION_AND_PROOF, epochOf(m.contribution.slot)));
      }
      case "VOLUNTARY_EXIT": {
        const m = ssz.phase0.VoluntaryExit.fromJson(body.voluntary_exit);
        // EIP-7044: from Deneb on an exit is always signed with the Capella version
        const deneb = cfg.DENEB_FORK_EPOCH !== undefined && Number(body.fork_info.fork.epoch) >= Number(cfg.DENEB_FORK_EPOCH);
        const d = deneb
          ? domain(P.DOMAIN_VOLUNTARY_EXIT, bytes(cfg.CAPELLA_FORK_VERSION), bytes(body.fork_info.genesis_validators_root))
          : forkDomain(body, P.DOMAIN_VOLUNTARY_EXIT, m.epoch);
        return signingRoot(ssz.phase0.VoluntaryExit.hashTreeRoot(m), d);
      }
      case "VALIDATOR_REGISTRATION": {
        const m = ssz.bellatrix.ValidatorRegistrationV1.fromJson(body.validator_registration);
        return signingRoot(ssz.bellatrix.ValidatorRegistrationV1.hashTreeRoot(m), domain(P.DOMAIN_APPLICATION_BUILDER, genesisVersion, ZERO32));
      }
      default:
        return null;
    }
  }

  return recompute;
}
