# Sourced by `cluster`: Debian's packages, and Kubernetes built from Debian's source, once for all clones.

PARTS=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)

install_packages() {
  local wanted=(golang-go etcd-server containerd runc containernetworking-plugins conntrack socat ebtables iptables iproute2
    busybox-static dnsmasq-base openssl curl jq)
  # Others package it too, and only one of them can be there.
  command -v kubectl >/dev/null || wanted+=(kubernetes-client)
  local missing=() package
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

build_binaries() {
  local part todo=
  for part in "${PARTS[@]}"; do [ -x "$BIN/$part" ] || todo=1; done
  [ -n "$todo" ] || return 0
  fetch_source
  local root=$TESTBED/go/src/k8s.io/kubernetes vendor=k8s.io/kubernetes/vendor/k8s.io
  mkdir -p "$BIN" "$(dirname "$root")"
  ln -sfn "$TESTBED/source" "$root"
  (
    cd "$root"
    export GO111MODULE=off CGO_ENABLED=0 GOFLAGS= GOPATH=$TESTBED/go GOCACHE=$TESTBED/go-cache
    generate_openapi
    local flags="-s -w" package
    for package in component-base client-go/pkg; do
      flags+=" -X $vendor/$package/version.gitVersion=v1.20.2"
      flags+=" -X $vendor/$package/version.gitMajor=1 -X $vendor/$package/version.gitMinor=20"
    done
    for part in "${PARTS[@]}"; do
      say "building $part"
      go build -ldflags "$flags" -o "$BIN/$part.new" "k8s.io/kubernetes/cmd/$part"
      mv "$BIN/$part.new" "$BIN/$part"
    done
  )
  # Only the programs are needed from now on.
  rm -rf "$TESTBED/go-cache" "$TESTBED/go" "$TESTBED/source"
}

# The one generated file that Debian leaves out and the API server cannot do without.
generate_openapi() {
  [ ! -f pkg/generated/openapi/zz_generated.openapi.go ] || return 0
  say "generating the API server's OpenAPI definitions"
  local vendor=k8s.io/kubernetes/vendor/k8s.io packages
  go build -o "$BIN/openapi-gen" $vendor/kube-openapi/cmd/openapi-gen
  packages=$(
    grep -rl '+k8s:openapi-gen' --include='*.go' pkg cmd staging vendor/k8s.io |
      grep -vE '_test|testdata|/test/|code-generator|sample-apiserver' | xargs -n 1 dirname | sort -u |
      sed -E 's#^staging/src/#k8s.io/kubernetes/vendor/#; s#^(pkg|cmd|vendor)/#k8s.io/kubernetes/\1/#' | sort -u | paste -sd,
  )
  : >"$TESTBED/header"
  "$BIN/openapi-gen" -O zz_generated.openapi -h "$TESTBED/header" -i "$packages" -r "$TESTBED/violations" \
    -p k8s.io/kubernetes/pkg/generated/openapi --output-base "$GOPATH/src" 2>"$TESTBED/openapi.log"
}

# Through the machine's own package sources, without changing what its package manager knows.
fetch_source() {
  [ ! -d "$TESTBED/source" ] || return 0
  say "fetching the source package of Kubernetes"
  local apt=$TESTBED/apt work=$TESTBED/fetch
  rm -rf "$work"
  mkdir -p "$work" "$apt/lists/partial" "$apt/cache/archives/partial"
  : >"$apt/status"
  debian_source | awk 'NR == 1' >"$apt/sources.list"
  [ -s "$apt/sources.list" ] || die "this machine names no Debian archive to take the source from"
  local options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "Dir::State::status=$apt/status"
    -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update -qq
  (cd "$work" && apt-get "${options[@]}" --download-only source -qq kubernetes >/dev/null && tar xzf kubernetes_*.orig.tar.gz)
  mv "$work"/kubernetes-1.* "$TESTBED/source"
  rm -rf "$work"
}

# The first archive of Debian that this machine installs from, in either of the two notations.
debian_source() {
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    if [ -f "$file" ]; then sed -nE 's/^deb /deb-src /p' "$file"; fi
  done | awk '/debian\/? / && !/security/ && !found {print; found = 1}'
  for file in /etc/apt/sources.list.d/*.sources; do
    if [ -f "$file" ]; then
      awk '/^URIs:/ {uri = $2} /^Suites:/ {suite = $2} /^Components:/ {print "deb-src " uri " " suite " main"}' "$file"
    fi
  done | awk '/debian\/? / && !found {print; found = 1}'
}
