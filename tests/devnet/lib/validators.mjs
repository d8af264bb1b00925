// Validator clients, each with a recording proxy between it and its signer.
import fs from "node:fs";
import path from "node:path";
import {HARNESS, veroOf} from "./clients.mjs";
import {CONTROL_FROM} from "./prepare.mjs";
import {api, freePort, sleep, waitFor} from "./util.mjs";

const FEE_RECIPIENT = "0x" + "11".repeat(20);

/**
 * Starts one validator client per signer URL, and one more with the control validators' keys in it.
 * Returns {clients, records, keymanagerUrl, exitSignerUrl}: each client's program, the recorders' files, and for --exit the
 * key-manager API of the first client (null where it cannot be asked) and the URL of its signer.
 */
export async function startValidatorClients({options, processes, lodestar, out, network, signerUrls, beaconUrls}) {
  const records = [];
  const clients = [];
  let exitSignerUrl, keymanagerUrl = null;
  const graffiti = (name) => (options.graffiti === "per-vc" ? name : options.graffiti);
  const startLodestar = (name, beaconUrl, extra) => processes.start(name, lodestar.node, [
    lodestar.script, "validator", "--network", "dev", "--paramsFile", network.configFile, "--dataDir", path.join(out, name),
    "--beaconNodes", beaconUrl, "--suggestedFeeRecipient", FEE_RECIPIENT, "--graffiti", graffiti(name), "--logFile", "none", ...extra,
  ]);

  for (const [i, signerUrl] of signerUrls.entries()) {
    if (i && options["vc-stagger"]) await sleep(options["vc-stagger"] * 1000);
    const name = `vc${i}`;
    const beaconUrl = beaconUrls[i] ?? beaconUrls[0];
    const client = options.client[i % options.client.length];
    clients.push(client);
    let url = signerUrl;
    if (!options["no-recorder"]) {
      const file = path.join(out, `requests-${name}.jsonl`);
      url = await startRecorder({processes, i, name, file, signerUrl});
      records.push(file);
    }
    exitSignerUrl ??= url;
    if (client === "lodestar") {
      const extra = options["pubkeys-mode"] === "fetch" ? ["--externalSigner.fetch"] : ["--externalSigner.pubkeys", network.externalPubkeys.join(",")];
      if (options.builder) extra.push("--builder");
      // The old client cannot be asked for an exit.
      if (options.exit !== undefined && i === 0 && !lodestar.oldFlags) {
        const port = await freePort();
        keymanagerUrl = `http://127.0.0.1:${port}`;
        extra.push("--keymanager", "--keymanager.port", `${port}`, "--keymanager.auth", "false");
      }
      startLodestar(name, beaconUrl, ["--externalSigner.url", url, ...extra, ...(options["vc-arg"] ?? [])]);
    } else if (client === "vero") {
      const vero = veroOf(options);
      fs.mkdirSync(path.join(out, name), {recursive: true});
      processes.start(name, vero.python, [
        vero.script, "--network", "custom", "--network-custom-config-path", network.configFile, "--remote-signer-url", url,
        "--beacon-node-urls", beaconUrl, "--fee-recipient", FEE_RECIPIENT, "--data-dir", path.join(out, name),
        "--graffiti", graffiti(name), "--metrics-port", `${await freePort()}`,
        ...(options.builder ? ["--use-external-builder"] : []), ...(options["vero-arg"] ?? []),
      ]);
    } else {
      throw Error(`--client ${client}: only lodestar and vero are known`);
    }
  }
  if (options.control) {
    startLodestar("vc-control", beaconUrls[0], ["--interopIndexes", `${CONTROL_FROM}..${CONTROL_FROM + options.control - 1}`]);
  }
  return {clients, records, keymanagerUrl, exitSignerUrl};
}

async function startRecorder({processes, i, name, file, signerUrl}) {
  const port = await freePort();
  processes.start(`recorder${i}`, process.execPath, [
    path.join(HARNESS, "processes/recorder.mjs"), "--port", `${port}`, "--target", signerUrl, "--log", file, "--name", name,
  ]);
  const url = `http://127.0.0.1:${port}`;
  await waitFor("recorder", async () => (await api(`${url}/upcheck`)).status === 200, 10_000);
  return url;
}
