#!/bin/sh
# Installs what the devnet runs on: this directory's packages, with Node 24, and Lodestar 1.5.1 with Node 22.
# Everything comes from the npm registry that npm is set to. Does nothing where it is installed already.
# DEVNET_CACHE=DIR installs there instead and leaves symbolic links here, so that fresh clones can share it.
# Needs npm; python3, make and g++ for three native addons; Linux on x86-64.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# A finished installation carries the checksum of the lock file it was made from.
stamp_of() { (cd "$1" && cat *lock* | cksum | tr -d ' '); }
is_installed() { [ "$(cat "$1/node_modules/.devnet-installed" 2>/dev/null)" = "$2" ]; }

# install NAME DIR COMMAND: runs COMMAND in DIR, or in DIR's copy in the cache, which DIR/node_modules is then linked to.
install() {
  source=$2
  stamp=$(stamp_of "$source")
  is_installed "$source" "$stamp" && return
  target=$source
  if [ -n "${DEVNET_CACHE:-}" ]; then
    target=$(mkdir -p "$DEVNET_CACHE" && cd "$DEVNET_CACHE" && pwd)/$1-$stamp
    mkdir -p "$target"
    (cd "$source" && cp package.json *lock* "$target/")
    [ ! -f "$source/build.sh" ] || cp "$source/build.sh" "$target/"
    [ ! -d "$source/node_modules" ] || [ -L "$source/node_modules" ] || rm -r "$source/node_modules"
    ln -sfn "$target/node_modules" "$source/node_modules"
    is_installed "$target" "$stamp" && return
  fi
  (cd "$target" && eval "$3")
  echo "$stamp" >"$target/node_modules/.devnet-installed"
}

install harness "$here" "npm ci --no-audit --no-fund --loglevel=error" >&2
install lodestar "$here/clients/lodestar-npm" "./build.sh" >&2
