# Sourced by `cluster` and `apart`: etcd, the API server and the controllers.

# etcd and the API server: objects are kept, and nothing comes of them yet.
start_api() {
  local pki=$RUN/pki etcd=http://127.0.0.1:$ETCD_PORT peer=http://127.0.0.1:$((ETCD_PORT + 1))
  start etcd etcd --data-dir "$RUN/etcd" --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
  until_true 30 etcd curl -sf "$etcd/health"
  start apiserver "$BIN/kube-apiserver" --etcd-servers="$etcd" --service-cluster-ip-range="$SERVICES" \
    --secure-port="$API_PORT" --bind-address=0.0.0.0 --advertise-address="$(machine_address)" \
    --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/accounts.pub" \
    --service-account-signing-key-file="$pki/accounts.key" --authorization-mode=Node,RBAC --anonymous-auth=false \
    --enable-admission-plugins=NodeRestriction --allow-privileged=true \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-client-certificate="$pki/kubelet-client.crt" \
    --kubelet-client-key="$pki/kubelet-client.key" --kubelet-preferred-address-types=InternalIP
  until_true 60 "API server" kubectl get --raw /readyz
}

start_control_plane() {
  local pki=$RUN/pki
  start_api
  # Tests make and remove hundreds of objects within seconds.
  start controller-manager "$BIN/kube-controller-manager" --kubeconfig="$RUN/controller-manager.conf" \
    --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/accounts.key" \
    --use-service-account-credentials=true --cert-dir="$RUN/certificates" \
    --kube-api-qps=300 --kube-api-burst=600 --concurrent-namespace-syncs=20
  start scheduler "$BIN/kube-scheduler" --kubeconfig="$RUN/scheduler.conf" --cert-dir="$RUN/certificates" \
    --kube-api-qps=300 --kube-api-burst=600
}

stop_control_plane() {
  stop scheduler
  stop controller-manager
  stop_api
}

stop_api() {
  stop apiserver
  stop etcd
}
