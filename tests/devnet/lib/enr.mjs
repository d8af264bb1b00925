// The libp2p peer id of an operator, out of the node record (ENR, EIP-778) that the cluster lock holds of it.

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** "enr:..." -> "16Uiu2HA...": the identity multihash of the protobuf-encoded secp256k1 public key. */
export function peerIdOfEnr(enr) {
  if (!enr.startsWith("enr:")) throw Error(`not a node record: ${enr.slice(0, 20)}`);
  const items = rlpList(Buffer.from(enr.slice(4), "base64url"));
  // signature, sequence number, then keys and values in turn
  for (let i = 2; i + 1 < items.length; i += 2) {
    if (items[i].toString() !== "secp256k1") continue;
    const key = items[i + 1];
    if (key.length !== 33) throw Error(`node record with a public key of ${key.length} bytes, not 33`);
    const protobuf = Buffer.concat([Buffer.from([0x08, 0x02, 0x12, key.length]), key]);
    return base58(Buffer.concat([Buffer.from([0x00, protobuf.length]), protobuf]));
  }
  throw Error("node record without a secp256k1 key");
}

/** The byte strings of an RLP list that holds nothing but byte strings. */
function rlpList(bytes) {
  const list = rlpItem(bytes, 0, 0xc0);
  const items = [];
  for (let at = list.start; at < list.end; ) {
    const item = rlpItem(bytes, at, 0x80);
    items.push(bytes.subarray(item.start, item.end));
    at = item.end;
  }
  return items;
}

/** Where the content of the item at `at` starts and ends; base is 0x80 for a byte string, 0xc0 for a list. */
function rlpItem(bytes, at, base) {
  const tag = bytes[at];
  if (base === 0x80 && tag < 0x80) return {start: at, end: at + 1};
  let start = at + 1;
  let length = tag - base;
  if (length > 55) {
    const width = length - 55;
    length = bytes.readUIntBE(start, width);
    start += width;
  }
  if (!(tag >= base && tag < base + 0x40) || start + length > bytes.length) throw Error("damaged node record");
  return {start, end: start + length};
}

function base58(bytes) {
  let n = BigInt("0x" + bytes.toString("hex"));
  let text = "";
  for (; n > 0n; n /= 58n) text = BASE58[Number(n % 58n)] + text;
  for (const b of bytes) {
    if (b !== 0) break;
    text = "1" + text;
  }
  return text;
}
