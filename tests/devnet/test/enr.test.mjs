import assert from "node:assert/strict";
import {test} from "node:test";
import {peerIdOfEnr} from "../lib/enr.mjs";

// The record of EIP-778's test vector; its peer id as discv5 and libp2p have it.
const RECORD = "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8";

test("a node record gives libp2p's peer id", () => {
  assert.equal(peerIdOfEnr(RECORD), "16Uiu2HAmSH2XVgZqYHWucap5kuPzLnt2TsNQkoppVxB5eJGvaXwm");
});

test("a truncated record is refused", () => {
  assert.throws(() => peerIdOfEnr(RECORD.slice(0, 100)), /damaged node record/);
});
