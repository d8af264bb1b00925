// Small helpers with no knowledge of the devnet: files, HTTP, ports, waiting.
import fs from "node:fs";
import net from "node:net";

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Public keys from a file: a JSON array of "0x.." strings or {pubkey, ..} objects, or text with one key a line. */
export function readValidators(file) {
  const text = fs.readFileSync(file, "utf8").trim();
  const list = text.startsWith("[") ? JSON.parse(text) : text.split(/\s+/);
  return list.map((v) => (typeof v === "string" ? {pubkey: v} : v)).map((v) => ({
    ...v,
    pubkey: (v.pubkey.startsWith("0x") ? v.pubkey : "0x" + v.pubkey).toLowerCase(),
  }));
}

/** The objects of a JSON-lines file; none where there is no such file. */
export function readLines(file) {
  if (!fs.existsSync(file)) return [];
  return fs.readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

export function writeJson(file, value) {
  fs.writeFileSync(file, JSON.stringify(value, null, 1) + "\n");
}

/** GET or POST of JSON with a time limit. Returns {status, json}; a body that is not JSON comes as {text}. */
export async function api(url, {method = "GET", body, timeoutMs = 5000} = {}) {
  const res = await fetch(url, {
    method,
    headers: {Accept: "application/json", ...(body === undefined ? {} : {"Content-Type": "application/json"})},
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await res.text();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = {text: text.slice(0, 500)};
  }
  return {status: res.status, json};
}

/** Calls `check` until it returns something true, and returns that. An exception counts as "not yet". */
export async function waitFor(what, check, timeoutMs, everyMs = 250) {
  const end = Date.now() + timeoutMs;
  let last;
  while (Date.now() < end) {
    try {
      const value = await check();
      if (value) return value;
    } catch (e) {
      last = e;
    }
    await sleep(everyMs);
  }
  throw Error(`timed out after ${timeoutMs} ms waiting for ${what}${last ? `: ${last.message}` : ""}`);
}

/** An unused loopback TCP port. */
export function freePort() {
  return listenOnce(0);
}

/** Throws where something listens on the port already. */
export async function checkPortFree(port) {
  await listenOnce(port).catch((e) => {
    throw Error(`port ${port} of 127.0.0.1 cannot be used (${e.code}): stop what listens there, or choose other ports`);
  });
}

function listenOnce(port) {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const bound = server.address().port;
      server.close(() => resolve(bound));
    });
  });
}

/** The q-quantile of an ascending array. */
export function percentile(sorted, q) {
  if (!sorted.length) return null;
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
