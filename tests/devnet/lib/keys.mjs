// Interop keys, raw-hex key files and EIP-2335 keystores.
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import {SecretKey} from "@chainsafe/blst";

const R = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n;

/** sk_i = int_le(sha256(le_uint256(i))) mod r, as 32 big-endian bytes. */
export function interopSecretBytes(i) {
  const le = Buffer.alloc(32);
  le.writeBigUInt64LE(BigInt(i), 0);
  const digest = crypto.createHash("sha256").update(le).digest();
  const n = BigInt("0x" + Buffer.from(digest).reverse().toString("hex")) % R;
  return Buffer.from(n.toString(16).padStart(64, "0"), "hex");
}

export function publicKeyHex(secretBytes) {
  return "0x" + Buffer.from(SecretKey.fromBytes(secretBytes).toPublicKey().toBytes()).toString("hex");
}

export function interopKeys(count, from = 0) {
  return Array.from({length: count}, (_, k) => {
    const secret = interopSecretBytes(from + k);
    return {index: from + k, secret: "0x" + secret.toString("hex"), pubkey: publicKeyHex(secret)};
  });
}

/** EIP-2335 keystore (pbkdf2 + aes-128-ctr). A small iteration count keeps test set-up fast. */
export function eip2335({secret, pubkey}, password, iterations = 4096) {
  const salt = crypto.randomBytes(32);
  const iv = crypto.randomBytes(16);
  const dk = crypto.pbkdf2Sync(Buffer.from(password.normalize("NFKD"), "utf8"), salt, iterations, 32, "sha256");
  const cipher = crypto.createCipheriv("aes-128-ctr", dk.subarray(0, 16), iv);
  const message = Buffer.concat([cipher.update(Buffer.from(secret.slice(2), "hex")), cipher.final()]);
  const checksum = crypto.createHash("sha256").update(dk.subarray(16, 32)).update(message).digest("hex");
  return {
    version: 4,
    uuid: crypto.randomUUID(),
    description: "devnet key, worthless",
    path: "",
    pubkey: pubkey.slice(2),
    crypto: {
      kdf: {function: "pbkdf2", params: {dklen: 32, c: iterations, prf: "hmac-sha256", salt: salt.toString("hex")}, message: ""},
      checksum: {function: "sha256", params: {}, message: checksum},
      cipher: {function: "aes-128-ctr", params: {iv: iv.toString("hex")}, message: message.toString("hex")},
    },
  };
}

/** Writes under dir: keys.json (raw hex), keystores/<pubkey>.json with passwords/<pubkey>.txt, and password.txt. */
export function writeKeys(dir, keys, password = "devnet-password") {
  for (const d of ["keystores", "passwords"]) fs.mkdirSync(path.join(dir, d), {recursive: true});
  const write = (name, content) => fs.writeFileSync(path.join(dir, name), content, {mode: 0o600});
  write("keys.json", JSON.stringify(keys, null, 1) + "\n");
  write("password.txt", password);
  for (const k of keys) {
    write(`keystores/${k.pubkey}.json`, JSON.stringify(eip2335(k, password)));
    write(`passwords/${k.pubkey}.txt`, password);
  }
}
