// What a run does at given slots.
import {exec} from "node:child_process";
import {promisify} from "node:util";

/** `SLOT:COMMAND` of --at, as an action that runs the shell command in OUT. */
export function shellAction(text, out) {
  const m = /^(\d+):(.+)$/s.exec(text);
  if (!m) throw Error(`--at wants SLOT:COMMAND, not ${text}`);
  const run = async () => {
    const {stdout, stderr} = await promisify(exec)(m[2], {cwd: out, env: {...process.env, DEVNET_OUT: out}});
    return {output: (stdout + stderr).slice(0, 400)};
  };
  return {slot: Number(m[1]), what: m[2], run};
}
