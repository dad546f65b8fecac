# Sourced by `cluster`: persistent volumes. A number of folders, each a volume of up to a gibibyte without a class; one
# that its claim has left is emptied and offered again.

VOLUMES=16

start_volumes() {
  local index
  for index in $(seq $VOLUMES); do
    mkdir -p "$RUN/volumes/$index"
    cat <<Y
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: testbed-$index}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: "$RUN/volumes/$index"}
Y
  done | kubectl apply -f - >/dev/null
  start volumes bash -c "$(declare -f follow_volumes offer_again); RUN=$RUN; KUBECONFIG=$RUN/admin.conf; export KUBECONFIG; follow_volumes"
}

follow_volumes() {
  while true; do
    while read -r name phase; do
      [ "$phase" != Released ] || offer_again "$name"
    done < <(kubectl get persistentvolumes --watch --no-headers --output custom-columns=:.metadata.name,:.status.phase 2>/dev/null)
    # The API server went away.
    sleep 1
  done
}

offer_again() {
  local folder=$RUN/volumes/${1#testbed-}
  rm -rf "$folder"
  mkdir -p "$folder"
  kubectl patch persistentvolume "$1" --type json --patch '[{"op": "remove", "path": "/spec/claimRef"}]' >/dev/null || true
}
