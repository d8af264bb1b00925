// Execution stand-ins and beacon nodes: started, joined to each other over loopback, and checked.
import path from "node:path";
import {HARNESS} from "./clients.mjs";
import {failIfEnded} from "./processes.mjs";
import {api, freePort, waitFor} from "./util.mjs";

/** Starts `count` beacon nodes and their execution stand-ins. Returns {urls, version, peerCounts()}. */
export async function startBeaconNodes({options, processes, lodestar, out, network, genesisFile, count, say}) {
  const elUrls = await startExecution({options, processes, count: options.el === "shared" ? 1 : count});
  const urls = [];
  const p2pPorts = [];
  for (let i = 0; i < count; i++) {
    const rest = await freePort();
    const p2p = await freePort();
    processes.start(`bn${i}`, lodestar.node, [
      lodestar.script, "beacon", "--network", "dev", "--paramsFile", network.configFile, "--genesisStateFile", genesisFile,
      "--dataDir", path.join(out, `bn${i}`), "--rest", "--rest.address", "127.0.0.1", "--rest.port", `${rest}`, "--rest.namespace", "*",
      "--execution.urls", elUrls[i] ?? elUrls[0], "--discv5", "false", "--listenAddress", "127.0.0.1", "--port", `${p2p}`,
      "--network.allowPublishToZeroPeers", "--sync.isSingleNode", "--subscribeAllSubnets", "--chain.blsVerifyAllMainThread", "--logFile", "none",
      ...(lodestar.oldFlags ? ["--eth1", "false"] : ["--disablePeerScoring", "--disableLightClientServer", "--network.useWorker", "false"]),
      ...(options.builder ? ["--builder", lodestar.oldFlags ? "--builder.urls" : "--builder.url", "http://127.0.0.1:9"] : []), ...(options["bn-arg"] ?? []),
    ]);
    urls.push(`http://127.0.0.1:${rest}`);
    p2pPorts.push(p2p);
  }
  for (const url of urls) {
    await waitFor(url, async () => processes.ended("bn").length || (await api(`${url}/eth/v1/node/version`)).status === 200, 90_000);
    failIfEnded(processes, "bn");
  }
  const version = (await api(`${urls[0]}/eth/v1/node/version`)).json.data.version;
  const served = (await api(`${urls[0]}/eth/v1/beacon/genesis`)).json.data;
  if (served.genesis_validators_root !== network.genesisValidatorsRoot) {
    throw Error(`genesis validators root: built ${network.genesisValidatorsRoot}, the beacon node says ${served.genesis_validators_root}`);
  }
  if (Number(served.genesis_time) !== network.genesisTime) {
    throw Error(`genesis time: built ${network.genesisTime}, the beacon node says ${served.genesis_time}`);
  }
  const peerCounts = () => Promise.all(urls.map(async (u) => Number((await api(`${u}/eth/v1/node/peer_count`)).json.data?.connected ?? -1)));
  if (count > 1) {
    await waitFor("peers", async () => {
      if ((await peerCounts()).every((n) => n >= count - 1)) return true;
      await connectAll(urls, p2pPorts, say);
      return false;
    }, 60_000, 1500).catch((e) => say(e.message));
    say("peers", JSON.stringify(await peerCounts()));
  }
  return {urls, version, peerCounts};
}

async function startExecution({options, processes, count}) {
  const urls = [];
  for (let i = 0; i < count; i++) {
    const port = await freePort();
    processes.start(`el${i}`, process.execPath, [
      path.join(HARNESS, "processes/mock_el.mjs"), "--port", `${port}`, ...(options.el === "diverge" ? ["--salt", `el${i}`] : []),
    ]);
    urls.push(`http://127.0.0.1:${port}`);
  }
  return urls;
}

async function connectAll(urls, p2pPorts, say) {
  for (let i = 0; i < urls.length; i++) {
    const {peer_id} = (await api(`${urls[i]}/eth/v1/node/identity`)).json.data;
    for (let j = 0; j < i; j++) {
      const query = new URLSearchParams({peerId: peer_id, multiaddr: `/ip4/127.0.0.1/tcp/${p2pPorts[i]}`});
      await api(`${urls[j]}/eth/v1/lodestar/connect_peer?${query}`, {method: "POST"}).catch((e) => say("connect_peer", e.message));
    }
  }
}
