// The signers under test: the harness's stand-ins, and the wait for whichever are used.
import path from "node:path";
import {HARNESS} from "./clients.mjs";
import {failIfEnded} from "./processes.mjs";
import {api, freePort, waitFor} from "./util.mjs";

/** Starts one stand-in signer and returns its URL. `port` is chosen where it is not given. */
export async function startStub({name, processes, network, out, port, args = []}) {
  port ??= await freePort();
  processes.start(name, process.execPath, [
    path.join(HARNESS, "processes/stub_signer.mjs"), "--port", `${port}`, "--keys", path.join(network.keysDir, "keys.json"),
    "--config", network.configFile, "--preset", network.preset, "--log", path.join(out, `${name}.jsonl`), ...args,
  ]);
  return `http://127.0.0.1:${port}`;
}

/** Waits until every signer answers; returns what each says of its keys: [{url, status, keys, missing}]. */
export async function waitForSigners(urls, {processes, expected, prefix = "", timeoutMs = 30_000}) {
  const served = [];
  for (const url of new Set(urls)) {
    await waitFor(`${url}/upcheck`, async () => processes.ended(prefix).length || (await api(`${url}/upcheck`)).status === 200, timeoutMs);
    failIfEnded(processes, prefix);
    const {status, json} = await api(`${url}/api/v1/eth2/publicKeys`);
    const keys = Array.isArray(json) ? json.map((k) => String(k).toLowerCase()) : [];
    served.push({url, status, keys: keys.length, missing: expected.filter((k) => !keys.includes(k)).length});
  }
  return served;
}
