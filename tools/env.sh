# Shared by every script here: where caches lie and which tools come from npm. Source it; it changes nothing on disk.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
IONO_CACHE=${IONO_CACHE:-$HOME/.cache/ionosphere}
export ROOT IONO_CACHE
# Outside the clone, so that a fresh clone on a warm machine builds in seconds.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$IONO_CACHE/target}
for tool in forge anvil cast; do PATH=$ROOT/node_modules/@foundry-rs/$tool-linux-amd64/bin:$PATH; done
export PATH=$IONO_CACHE/venv/bin:$IONO_CACHE/bin:$HOME/.cargo/bin:$PATH

STARTED=${STARTED:-$(date +%s)}
export STARTED
say() { printf '\033[1m[%3ds]\033[0m %s\n' "$(($(date +%s) - STARTED))" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
