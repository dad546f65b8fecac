# Sourced by `cluster`: network policies by iptables. What policies, pods and namespaces say together becomes one chain
# for each pod and direction (policy.jq), put in place at once whenever one of them changes. A pod that is not known yet
# reaches nobody: it must not speak before its policies hold.

start_policy() {
  start policy bash -c "$(declare -f follow_policies enforce); RUN=$RUN; HERE=$HERE; PODS=$PODS
    KUBECONFIG=$RUN/admin.conf; export KUBECONFIG; follow_policies"
  until_true 30 "network policy" iptables -C FORWARD -j TESTBED
}

follow_policies() {
  while true; do
    enforce
    # Three watches into one pipe; several changes at once make one. The API server ends each of them after half an hour or
    # so, one by one: it is begun again, or its changes would go unseen while the others live.
    while read -r _; do
      while read -r -t 0.1 _; do :; done
      enforce
    done < <(
      for kind in pods networkpolicies namespaces; do
        while true; do
          kubectl get "$kind" --all-namespaces --watch --output name 2>/dev/null
          sleep 0.5
        done &
      done
      wait
    )
    # The API server went away: what holds goes on to hold.
    sleep 1
  done
}

enforce() {
  local state old
  state=$(kubectl get pods,networkpolicies,namespaces --all-namespaces --output json 2>/dev/null) || return 0
  old=$(iptables-save -t filter | sed -nE 's/^:(TESTBED[^ ]*) .*/\1/p' | jq -R . | jq -s .)
  jq -r --arg pods "$PODS" --argjson old "$old" -f "$HERE/policy.jq" <<<"$state" >"$RUN/policy.rules"
  iptables-restore --wait --noflush <"$RUN/policy.rules" || { echo "refused:"; cat "$RUN/policy.rules"; return 0; }
  local chain
  for chain in FORWARD INPUT; do
    iptables --wait -C $chain -j TESTBED 2>/dev/null || iptables --wait -I $chain 1 -j TESTBED
  done
}

stop_policy() {
  stop policy
  remove_rules TESTBED
}

# remove_rules NAMES: every chain whose name begins so, and what leads there.
remove_rules() {
  local table rules
  for table in filter nat mangle; do
    rules=$(iptables-save -t $table)
    {
      echo "*$table"
      sed -nE "s/^-A ((PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) .*-j ($1).*)/-D \\1/p" <<<"$rules"
      sed -nE "s/^:(($1)[^ ]*) .*/:\1 - [0:0]/p" <<<"$rules"
      sed -nE "s/^:(($1)[^ ]*) .*/-X \1/p" <<<"$rules"
      echo COMMIT
    } | iptables-restore --wait --noflush
  done
}
