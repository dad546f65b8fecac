# Sourced by `cluster`: what tests rely on, tried: pods, names, logs, exec, and that policies shut and open ways.

check() {
  local space=testbed-check
  trap 'kubectl delete namespace testbed-check testbed-check-other --wait=false >/dev/null 2>&1 || true' RETURN
  busybox_image
  kubectl apply -f - >/dev/null <<Y
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: $space, labels: {side: inside}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: $space-other}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata: {name: disk, namespace: $space}
  spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: $space}
  spec: {selector: {app: web}, ports: [{protocol: TCP, port: 80, targetPort: 8080}]}
$(busybox_pod $space web "httpd -f -p 8080 -h /etc")
$(busybox_pod $space caller "sleep 1000")
$(busybox_pod $space-other stranger "sleep 1000")
Y
  kubectl wait --for=condition=Ready --timeout=60s -n $space pod/web pod/caller >/dev/null
  kubectl wait --for=condition=Ready --timeout=60s -n $space-other pod/stranger >/dev/null
  until_true 20 "volume for a claim" bash -c "kubectl get pvc disk -n $space -o jsonpath='{.status.phase}' | grep -qx Bound"
  local address
  address=$(kubectl get pod web -n $space -o jsonpath='{.status.podIP}')
  expect open "a service by its name" $space caller web.$space.svc.cluster.local
  expect open "a pod of another namespace" $space-other stranger "$address:8080"
  kubectl apply -f - >/dev/null <<Y
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: inside, namespace: $space}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {}}], ports: [{protocol: TCP, port: 8080}]}]
  egress: [{to: [{podSelector: {}}]}]
Y
  until_true 10 "policy" bash -c "iptables -S | grep -q -- '-d $address/32 -j TESTBED-I'"
  expect open "what a policy allows" $space caller "$address:8080"
  expect shut "a pod behind a policy" $space-other stranger "$address:8080"
  expect shut "the node" $space caller "$NODE_IP:10250"
  expect shut "the API server" $space caller "$API_IP:443"
  say "pods, names, volumes and policies work"
}

busybox_image() {
  [ -z "$(ctr --address "$SOCKET" --namespace k8s.io images ls -q | grep '/testbed/busybox:1$')" ] || return 0
  local root
  root=$(mktemp -d)
  mkdir -p "$root/bin" "$root/etc"
  cp /bin/busybox "$root/bin/"
  for name in $(/bin/busybox --list); do [ "$name" = busybox ] || ln -s busybox "$root/bin/$name"; done
  echo testbed >"$root/etc/hostname"
  tar -C "$root" -cf - . | docker import --change 'ENV PATH=/bin' - testbed/busybox:1 >/dev/null
  rm -rf "$root"
  load_images testbed/busybox:1
}

# busybox_pod NAMESPACE NAME COMMAND
busybox_pod() {
  cat <<Y
- apiVersion: v1
  kind: Pod
  metadata: {name: $2, namespace: $1, labels: {app: $2}}
  spec:
    terminationGracePeriodSeconds: 0
    containers: [{name: main, image: "docker.io/testbed/busybox:1", imagePullPolicy: Never, command: ["sh", "-c", "exec $3"]}]
Y
}

# expect open|shut WHAT NAMESPACE POD URL: whether something answers there, at once or within a moment.
expect() {
  local found=shut
  for _ in 1 2 3; do
    if kubectl exec -n "$3" "$4" -- timeout 2 nc -w 2 "${5%%:*}" "$([[ $5 = *:* ]] && echo "${5##*:}" || echo 80)" </dev/null >/dev/null 2>&1; then
      found=open
      break
    fi
    [ "$1" = open ] || break
    sleep 1
  done
  [ "$found" = "$1" ] || die "$2 should be $1, but is $found"
  say "$2: $1, as it should be"
}
