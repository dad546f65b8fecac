# Sourced by `cluster` and `apart`: what all clusters here have in common, and how their parts are started and stopped.
# $RUN is the folder of one cluster, $API_PORT and $ETCD_PORT are where it listens.

TESTBED=$IONO_CACHE/kubernetes
BIN=$TESTBED/bin
NODE=testbed
PODS=10.244.0.0/24
NODE_IP=10.245.0.1
SERVICES=10.96.0.0/16
API_IP=10.96.0.1

# start NAME COMMAND...: in the background with a log and a process id, unless it runs.
start() {
  local name=$1
  shift
  if is_running "$name"; then return; fi
  setsid "$@" >"$RUN/$name.log" 2>&1 </dev/null &
  echo "$! $(begin_of $!)" >"$RUN/$name.pid"
}

# Not one that has ended and waits for its parent, nor another that has its number by now.
is_running() {
  local pid begin
  read -r pid begin 2>/dev/null <"$RUN/$1.pid" || return 1
  [ -n "$begin" ] && [ "$(begin_of "$pid")" = "$begin" ] && ! grep -qs '^State:.Z' "/proc/$pid/status"
}

# The tick at which a process began.
begin_of() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# stop NAME: asks it and what it started to end, and waits; after ten seconds they are killed.
stop() {
  is_running "$1" || { rm -f "$RUN/$1.pid"; return 0; }
  local pid
  read -r pid _ <"$RUN/$1.pid"
  kill -- "-$pid" 2>/dev/null || true
  for _ in $(seq 100); do is_running "$1" || break; sleep 0.1; done
  kill -9 -- "-$pid" 2>/dev/null || true
  rm -f "$RUN/$1.pid"
}

# until_true SECONDS WHAT COMMAND...
until_true() {
  local seconds=$1 what=$2
  shift 2
  for _ in $(seq $((seconds * 5))); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done
  die "no $what after $seconds s; the logs are in $RUN"
}
