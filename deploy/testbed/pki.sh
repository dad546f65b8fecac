# Sourced by `cluster` and `apart`: one certificate authority, a certificate for each part, and the files by which they find the API
# server. Every part has the name that Kubernetes' own roles are bound to, so that none can do more than it should.

make_certificates() {
  local pki=$RUN/pki
  [ ! -f "$pki/complete" ] || return 0
  mkdir -p "$pki"
  chmod 700 "$pki"
  openssl ecparam -name prime256v1 -genkey -noout -out "$pki/ca.key"
  openssl req -x509 -new -key "$pki/ca.key" -days 3650 -subj /CN=testbed-ca -out "$pki/ca.crt"
  local machine
  machine=$(machine_address)
  certificate apiserver /CN=kube-apiserver \
    "IP:127.0.0.1,IP:$API_IP,IP:$NODE_IP,IP:$machine,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  certificate kubelet-server "/CN=$NODE" "IP:$NODE_IP,DNS:$NODE"
  certificate admin /O=system:masters/CN=admin
  certificate kubelet-client /O=system:masters/CN=apiserver
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate proxy /CN=system:kube-proxy
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE"
  openssl genrsa -out "$pki/accounts.key" 2048 2>/dev/null
  openssl rsa -in "$pki/accounts.key" -pubout -out "$pki/accounts.pub" 2>/dev/null
  local user
  for user in admin controller-manager scheduler proxy kubelet; do kubeconfig "$user"; done
  touch "$pki/complete"
}

# The address that pods reach the API server at.
machine_address() { hostname -I | awk '{print $1}'; }

# certificate NAME SUBJECT [ALTERNATIVE NAMES]
certificate() {
  local file=$RUN/pki/$1 extensions=$RUN/pki/$1.ext
  {
    echo "extendedKeyUsage=serverAuth,clientAuth"
    [ -z "${3:-}" ] || echo "subjectAltName=$3"
  } >"$extensions"
  openssl ecparam -name prime256v1 -genkey -noout -out "$file.key"
  openssl req -new -key "$file.key" -subj "$2" -out "$file.csr"
  openssl x509 -req -in "$file.csr" -CA "$RUN/pki/ca.crt" -CAkey "$RUN/pki/ca.key" -CAcreateserial -days 3650 \
    -extfile "$extensions" -out "$file.crt" 2>/dev/null
  rm "$file.csr" "$extensions"
}

kubeconfig() {
  local file=$RUN/$1.conf
  (
    umask 077
    cat >"$file" <<Y
apiVersion: v1
kind: Config
clusters:
- name: testbed
  cluster: {server: "https://127.0.0.1:$API_PORT", certificate-authority-data: $(base64 -w 0 "$RUN/pki/ca.crt")}
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w 0 "$RUN/pki/$1.crt")
    client-key-data: $(base64 -w 0 "$RUN/pki/$1.key")
contexts:
- name: testbed
  context: {cluster: testbed, user: $1}
current-context: testbed
Y
  )
}
