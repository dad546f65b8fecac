# Sourced by `cluster`: the one node, with a container engine of its own beside Docker's.

SOCKET=$RUN/containerd.sock

start_node() {
  write_node_configuration
  start_containerd
  make_pause_image
  make_way
  start kubelet "$BIN/kubelet" --kubeconfig="$RUN/kubelet.conf" --config="$RUN/kubelet.yaml" --root-dir="$RUN/kubelet" \
    --cert-dir="$RUN/certificates" --hostname-override="$NODE" --node-ip="$NODE_IP" --container-runtime=remote \
    --container-runtime-endpoint="unix://$SOCKET"
  start proxy "$BIN/kube-proxy" --kubeconfig="$RUN/proxy.conf" --hostname-override="$NODE" --cluster-cidr="$PODS" \
    --conntrack-max-per-core=0
}

start_containerd() {
  start containerd containerd --config "$RUN/containerd.toml"
  until_true 30 containerd ctr --address "$SOCKET" version
}

write_node_configuration() {
  mkdir -p "$RUN/cni"
  cat >"$RUN/cni/10-pods.conflist" <<Y
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": true,
   "ipam": {"type": "host-local", "dataDir": "$RUN/addresses", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
Y
  cat >"$RUN/containerd.toml" <<Y
version = 2
root = "$RUN/containerd/root"
state = "$RUN/containerd/state"
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/pause:testbed"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$RUN/cni"
  # The registry that tests start on this machine speaks plain HTTP.
  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."localhost:5000"]
    endpoint = ["http://localhost:5000"]
Y
  cat >"$RUN/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
failSwapOn: false
clusterDomain: cluster.local
clusterDNS: [$NODE_IP]
tlsCertFile: $RUN/pki/kubelet-server.crt
tlsPrivateKeyFile: $RUN/pki/kubelet-server.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $RUN/pki/ca.crt}}
authorization: {mode: AlwaysAllow}
evictionHard: {nodefs.available: "1%", imagefs.available: "1%"}
# However full the disk of the machine is: what tests loaded stays.
imageGCHighThresholdPercent: 100
podPidsLimit: 256
kubeAPIQPS: 100
kubeAPIBurst: 200
# Volumes in memory take no more than their size; later versions do that by themselves.
featureGates: {SizeMemoryBackedVolumes: true}
Y
}

# Each pod has a link of its own to the host, so that whatever goes between two pods is routed and policies see it. The
# host's address on these links is there before the first pod, so that names are served on it; and the Docker engine drops
# what it did not ask to forward.
make_way() {
  ip addr replace "$NODE_IP/32" dev lo
  sysctl -qw net.ipv4.ip_forward=1
  local way
  for way in -s -d; do
    iptables -C FORWARD $way "$PODS" -j ACCEPT 2>/dev/null || iptables -I FORWARD $way "$PODS" -j ACCEPT
  done
}

# What holds a pod's namespaces: a sleeping busybox, made without any engine.
make_pause_image() {
  ctr --address "$SOCKET" --namespace k8s.io images ls -q | grep -q '/pause:testbed$' && return
  local work=$RUN/pause
  rm -rf "$work"
  mkdir -p "$work/root/bin" "$work/image/blobs/sha256"
  cp /bin/busybox "$work/root/bin/"
  tar -C "$work/root" --owner=0 --group=0 --mtime=@0 -cf "$work/layer" .
  local layer config manifest
  layer=$(blob "$work/layer")
  printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/bin/busybox","sleep","2147483647"]},"rootfs":{"type":"layers","diff_ids":["%s"]}}' \
    "$(digest_of "$layer")" >"$work/config"
  config=$(blob "$work/config")
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",%s}]}' \
    "$config" "$layer" >"$work/manifest"
  manifest=$(blob "$work/manifest")
  printf '{"imageLayoutVersion":"1.0.0"}' >"$work/image/oci-layout"
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s,"annotations":{"io.containerd.image.name":"docker.io/library/pause:testbed","org.opencontainers.image.ref.name":"testbed"}}]}' \
    "$manifest" >"$work/image/index.json"
  tar -C "$work/image" -cf "$work/pause.tar" oci-layout index.json blobs
  ctr --address "$SOCKET" --namespace k8s.io images import "$work/pause.tar" >/dev/null
  rm -rf "$work"
}

# blob FILE: puts it among the image's blobs and prints what describes it there.
blob() {
  local digest size
  digest=$(sha256sum "$1" | cut -d ' ' -f 1)
  size=$(stat -c %s "$1")
  mv "$1" "$(dirname "$1")/image/blobs/sha256/$digest"
  printf '"digest":"sha256:%s","size":%s' "$digest" "$size"
}

digest_of() { sed -E 's/"digest":"([^"]+)".*/\1/' <<<"$1"; }

load_images() {
  docker save "$@" | ctr --address "$SOCKET" --namespace k8s.io images import - >/dev/null
}

stop_node() {
  stop kubelet
  stop proxy
  if [ -f "$RUN/containerd.toml" ]; then
    # Also where it was killed: it alone finds its containers again.
    start_containerd
    local container
    for container in $(ctr --address "$SOCKET" --namespace k8s.io tasks ls -q 2>/dev/null); do
      ctr --address "$SOCKET" --namespace k8s.io tasks delete --force "$container" >/dev/null 2>&1 || true
    done
    stop containerd
  fi
  # Pods' volumes and root file systems.
  awk -v run="$RUN/" 'index($2, run) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount -l 2>/dev/null || true
  remove_pods_networks
  remove_rules 'KUBE-|CNI-[0-9a-f]{24}'
  ip addr del "$NODE_IP/32" dev lo 2>/dev/null || true
  local way
  for way in -s -d; do iptables -D FORWARD $way "$PODS" -j ACCEPT 2>/dev/null || true; done
}

# Their links go with them.
remove_pods_networks() {
  local name
  for name in $(ip netns list | awk '/^cni-/ {print $1}'); do
    if ip -n "$name" -4 addr show | grep -qF "inet ${PODS%.*}."; then ip netns del "$name"; fi
  done
}
