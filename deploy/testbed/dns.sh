# Sourced by `cluster`: names of services for the pods. A file of names follows the API server and is served on the pods'
# bridge; what is not of the cluster has no name here.

start_dns() {
  touch "$RUN/names"
  start dns dnsmasq --keep-in-foreground --user=root --no-hosts --no-resolv --bind-interfaces \
    --listen-address="$NODE_IP" --addn-hosts="$RUN/names" --local=/cluster.local/ --pid-file="$RUN/dnsmasq.pid"
  start dns-watch bash -c "$(declare -f follow_services write_names); RUN=$RUN; KUBECONFIG=$RUN/admin.conf; export KUBECONFIG; follow_services"
}

# Writes all names anew whenever a service changes; several changes at once make one.
follow_services() {
  while true; do
    while read -r _; do
      while read -r -t 0.2 _; do :; done
      write_names
    done < <(kubectl get services --all-namespaces --watch --output name 2>/dev/null)
    # The API server went away: what is known stays.
    sleep 1
  done
}

write_names() {
  kubectl get services --all-namespaces --output \
    jsonpath='{range .items[*]}{.spec.clusterIP}{" "}{.metadata.name}.{.metadata.namespace}.svc.cluster.local{"\n"}{end}' \
    2>/dev/null | grep -v '^None' >"$RUN/names.new" || return 0
  cmp -s "$RUN/names.new" "$RUN/names" && return
  cp "$RUN/names.new" "$RUN/names"
  kill -HUP "$(cat "$RUN/dnsmasq.pid")"
}
