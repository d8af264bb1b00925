// Checks recorded requests without trust in either side: the signing root from the typed fields, the signature under
// the validator's public key.
import {PublicKey, Signature, verify} from "@chainsafe/blst";

const bytes = (hex) => Buffer.from(hex.slice(2), "hex");

/**
 * rows: lines of the recorder. recompute: of signingRootOf. sample: the share of signatures to verify.
 * Returns {counts, problems, good, bad, wrongRoot}: counts by request type, and the totals.
 */
export function checkSignatures(rows, recompute, sample = 1) {
  const counts = {};
  const problems = [];
  for (const row of rows) {
    if (!row.type) continue;
    const c = (counts[row.type] ??= {requests: 0, rootMatches: 0, rootDiffers: 0, rootNotGiven: 0, notRecomputed: 0, signatureOk: 0, signatureBad: 0, unsigned: 0});
    c.requests++;
    let root = null;
    try {
      root = recompute(row.body);
      if (!root) c.notRecomputed++;
      else if (!row.body.signingRoot) c.rootNotGiven++;
      else if (root.equals(bytes(row.body.signingRoot))) c.rootMatches++;
      else {
        c.rootDiffers++;
        problems.push({type: row.type, body: row.body, recomputed: "0x" + root.toString("hex")});
      }
    } catch (e) {
      c.notRecomputed++;
      problems.push({type: row.type, error: e.message});
    }
    const signature = row.response?.signature ?? (typeof row.response === "string" ? row.response.trim() : undefined);
    if (row.status !== 200 || !signature) c.unsigned++;
    else if (Math.random() < sample) {
      let ok = false;
      try {
        ok = verify(root ?? bytes(row.body.signingRoot), PublicKey.fromBytes(bytes(row.pubkey), true), Signature.fromBytes(bytes(signature), true));
      } catch (e) {
        problems.push({type: row.type, signature, error: e.message});
      }
      c[ok ? "signatureOk" : "signatureBad"]++;
    }
  }
  const total = (...names) => Object.values(counts).reduce((sum, c) => names.reduce((s, n) => s + c[n], sum), 0);
  return {counts, problems, good: total("signatureOk"), bad: total("signatureBad"), wrongRoot: total("rootDiffers", "notRecomputed")};
}
