// The child processes of a run: each has a name and a log file, and all are ended in the right order.
import {spawn} from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import {sleep, writeJson} from "./util.mjs";

// Validator clients go first, then beacon nodes, then the signers and the rest: nobody is left asking a dead server.
const STOPPING_ORDER = ["vc", "bn", ""];

export class Processes {
  #out;
  #all = [];

  /** out: the directory for the logs (NAME.log) and for pids.json. */
  constructor(out) {
    this.#out = out;
  }

  /** Starts a child whose standard output and error are appended to OUT/NAME.log. */
  start(name, command, args, {env = {}} = {}) {
    const logFile = path.join(this.#out, `${name}.log`);
    const log = fs.openSync(logFile, "a");
    const child = spawn(command, args, {stdio: ["ignore", log, log], env: {...process.env, ...env}, cwd: this.#out});
    fs.closeSync(log);
    const p = {name, pid: child.pid, logFile, exited: null, endExpected: false};
    child.on("exit", (code, signal) => (p.exited = {code, signal}));
    child.on("error", (e) => (p.exited = {code: -1, signal: null, error: e.message}));
    /** Ends exactly this child: SIGINT, and SIGKILL after the grace. */
    p.stop = async (graceMs = 4000) => {
      p.endExpected = true;
      if (p.exited) return;
      child.kill("SIGINT");
      const end = Date.now() + graceMs;
      while (!p.exited && Date.now() < end) await sleep(50);
      if (!p.exited) {
        child.kill("SIGKILL");
        while (!p.exited) await sleep(20);
      }
    };
    /** SIGKILL, as a crash. */
    p.kill = async () => {
      p.endExpected = true;
      child.kill("SIGKILL");
      while (!p.exited) await sleep(20);
    };
    this.#all.push(p);
    writeJson(path.join(this.#out, "pids.json"), Object.fromEntries(this.#all.map((x) => [x.name, x.pid])));
    return p;
  }

  /** Those whose name starts with the prefix. */
  named(prefix) {
    return this.#all.filter((p) => p.name.startsWith(prefix));
  }

  /** Those that ended though nobody stopped them: [{name, code, signal}]. */
  ended(prefix = "") {
    return this.named(prefix).filter((p) => p.exited && !p.endExpected).map((p) => ({name: p.name, ...p.exited}));
  }

  async stopAll() {
    for (const prefix of STOPPING_ORDER) await Promise.all(this.named(prefix).map((p) => p.stop()));
  }
}

/** Throws with the end of its log where a process of that prefix ended by itself. */
export function failIfEnded(processes, prefix) {
  const ended = processes.ended(prefix)[0];
  if (!ended) return;
  throw Error(`${ended.name} ended (${ended.error ?? ended.signal ?? `status ${ended.code}`}): ${logTail(processes.named(ended.name).at(-1))}`);
}

function logTail(p, characters = 600) {
  return fs.readFileSync(p.logFile, "utf8").slice(-characters).trim();
}
