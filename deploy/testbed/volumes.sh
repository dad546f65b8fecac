# Sourced by `cluster`: persistent volumes without a class, small and large ones, each a file system of its own, so that
# none takes more than its size. One that its claim has left is emptied and offered again.

SMALL=12 # of 16 MiB
LARGE=8  # of 1 GiB

start_volumes() {
  local index size
  for index in $(seq $((SMALL + LARGE))); do
    size=16
    [ "$index" -le $SMALL ] || size=1024
    mount_volume "$RUN/volumes/$index" "$size"
    cat <<Y
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: testbed-$index}
spec:
  capacity: {storage: ${size}Mi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: "$RUN/volumes/$index/data"}
Y
  done | kubectl apply -f - >/dev/null
  start volumes bash -c "$(declare -f follow_volumes offer_again); RUN=$RUN; KUBECONFIG=$RUN/admin.conf; export KUBECONFIG; follow_volumes"
}

# mount_volume FOLDER MIB: the file takes room on the disk only as it is filled; some of it is the file system's own.
mount_volume() {
  mountpoint -q "$1" || {
    mkdir -p "$1"
    truncate -s $(($2 + 4 + $2 / 16))M "$1.image"
    mkfs.ext4 -q -F -m 0 "$1.image"
    mount -o loop "$1.image" "$1"
  }
  mkdir -p "$1/data"
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
  local folder=$RUN/volumes/${1#testbed-}/data
  rm -rf "$folder"
  mkdir -p "$folder"
  kubectl patch persistentvolume "$1" --type json --patch '[{"op": "remove", "path": "/spec/claimRef"}]' >/dev/null || true
}
