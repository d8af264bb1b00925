#!/usr/bin/env bash
# Sends a standalone node what its own OpenAPI document allows, and what it does not, and looks at the answers:
# no 5xx, no status, type or shape that the document lacks, no hang.
#
#   tests/schemathesis/run.sh [--synod PATH] [--examples N] [--seed N]
#
# Needs python3 with venv and pip, and a package index at the first run; without them it says so and passes.
# The virtual environment is kept in the target directory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
synod=$target/release/synod
examples=25
seed=1
while [ $# -gt 0 ]; do
  case $1 in
    --synod) synod=$2 ;;
    --examples) examples=$2 ;;
    --seed) seed=$2 ;;
    *)
      echo "unknown option $1" >&2
      exit 2
      ;;
  esac
  shift 2
done

skip() {
  printf 'skipped: schemathesis: %s\n' "$1"
  exit 0
}

if [ ! -x "$synod" ]; then
  echo "no program at $synod: cargo build --release --bin synod, or give --synod PATH" >&2
  exit 1
fi

requirements=tests/schemathesis/requirements.txt
venv=$target/schemathesis
if ! cmp -s "$requirements" "$venv/installed"; then
  command -v python3 >/dev/null || skip "python3 not found"
  rm -rf "$venv"
  python3 -m venv "$venv" >/dev/null 2>&1 || skip "python3 -m venv does not work here"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" ||
    skip "it could not be installed"
  cp "$requirements" "$venv/installed"
fi

dir=$(mktemp -d)
node=
finish() {
  if [ -n "$node" ]; then
    kill "$node" 2>/dev/null || true
    wait "$node" 2>/dev/null || true
  fi
  rm -rf "$dir"
}
trap finish EXIT

mkdir "$dir/keys"
cat >"$dir/keys/key.yaml" <<YAML
type: file-raw
privateKey: "0x3ee2224386c82ffea477e2adf28a2929f5c349165a4196158c7f3a2ecca40f35"
YAML
"$(realpath "$synod")" standalone --data-dir "$dir" --network hoodi --http-listen-port 0 \
  --metrics-port 0 --key-manager-api-enabled >"$dir/stdout" 2>"$dir/log" &
node=$!
until [ -s "$dir/web3signer.ports" ]; do
  if ! kill -0 "$node" 2>/dev/null; then
    cat "$dir/log" >&2
    exit 1
  fi
  sleep 0.1
done
port=$(sed -n 's/^http-port=//p' "$dir/web3signer.ports")
metrics_port=$(sed -n 's/^metrics-port=//p' "$dir/web3signer.ports")

# Not asked for: that every request which the document allows is signed. Chain, fork and history decide too.
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks+=,response_schema_conformance,unsupported_method,allow_header_conformance,ignored_auth
status=0
# It keeps files of its own where it runs.
cd "$dir"
"$venv/bin/schemathesis" --config-file "$root/tests/schemathesis/schemathesis.toml" run \
  "http://127.0.0.1:$port/openapi.yaml" --checks "$checks" --max-examples "$examples" --seed "$seed" \
  --request-timeout 10 --continue-on-failure --no-shrink --warnings off \
  --header "Authorization: Bearer $(cat "$dir/api-token.txt")" || status=$?

signed=$("$venv/bin/python" - "http://127.0.0.1:$metrics_port/metrics" <<'PYTHON'
import sys, urllib.request
for line in urllib.request.urlopen(sys.argv[1], timeout=10).read().decode().splitlines():
    if line.startswith("eth2_slashingprotection_permitted_signings_total "):
        print(int(float(line.split()[1])))
PYTHON
) || signed=0
echo "signatures given: $signed"
if [ "${signed:-0}" -eq 0 ]; then
  echo "nothing was signed: the requests did not come as far as that" >&2
  status=1
fi
if grep -q panicked "$dir/log"; then
  echo "a panic in the node's log:" >&2
  grep -A 5 panicked "$dir/log" >&2
  status=1
fi
if ! kill -0 "$node" 2>/dev/null; then
  echo "the node is gone:" >&2
  tail -n 20 "$dir/log" >&2
  status=1
fi
exit "$status"
