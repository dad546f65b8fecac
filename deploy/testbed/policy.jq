# Pods, namespaces and network policies (a List) to rules for `iptables-restore --noflush`.
#
# TESTBED is asked about every packet that is forwarded or comes to the host. It sends what comes from a pod through the
# chain of that pod's egress and what goes to a pod through that of its ingress. A chain allows by a mark, and drops what
# has none at its end. Arguments: $pods, the addresses of all pods; $old, chains that are there already.

def ALLOWED: "0x100000/0x100000";
def KNOWN: "0x200000/0x200000";

def fits($labels):
  ((.matchLabels // {}) | to_entries | all(. as $want | $labels[$want.key] == $want.value))
  and ((.matchExpressions // []) | all(
    . as $e | ($labels[$e.key]) as $value |
    if $e.operator == "In" then any($e.values[]; . == $value)
    elif $e.operator == "NotIn" then all($e.values[]; . != $value)
    elif $e.operator == "Exists" then $value != null
    else $value == null end));

(.items | map(select(.kind == "Namespace")) | map({key: .metadata.name, value: (.metadata.labels // {})}) | from_entries)
  as $namespaces
| (.items | map(select(.kind == "NetworkPolicy"))) as $policies
| [.items[] | select(.kind == "Pod" and (.status.podIP // "") != "" and (.spec.hostNetwork | not)
    and (.status.phase | IN("Succeeded", "Failed") | not))
   | {ip: .status.podIP, namespace: .metadata.namespace, labels: (.metadata.labels // {})}] as $all

# Addresses that one peer of a rule in `namespace` stands for: {cidr, except}.
| def addresses($namespace):
    if .ipBlock then [{cidr: .ipBlock.cidr, except: (.ipBlock.except // [])}]
    else
      . as $peer
      | [$all[] | . as $pod | select(
            (if $peer.namespaceSelector
             then ($namespaces[$pod.namespace] // {}) as $labels | ($peer.namespaceSelector | fits($labels))
             else $pod.namespace == $namespace end)
            and (($peer.podSelector // {}) | fits($pod.labels)))
        | {cidr: "\(.ip)/32", except: []}]
    end;

# What a rule's ports match, one text each; [""] for any.
def ports:
    if (.ports // []) == [] then [""]
    else [.ports[] | "-p \(.protocol // "TCP" | ascii_downcase)"
      + (if .port then " --dport \(.port)" + (if .endPort then ":\(.endPort)" else "" end) else "" end)]
    end;

# Lines of one pod's chain for a direction; the chains that it needs come first as {chain: name}.
def chain($name; $side; $field; $rules; $namespace):
    [{chain: $name}, {line: "-A \($name) -j MARK --set-xmark 0x0/0x100000"}]
    + [ $rules | to_entries[] | .key as $r | .value as $rule | ($rule | ports) as $ports
        | (if ($rule[$field] // []) == [] then [{cidr: "0.0.0.0/0", except: []}]
           else [$rule[$field][] | addresses($namespace)[]] end)
        | to_entries[] | .key as $a | .value as $address | ($ports | to_entries[])
        | .key as $p | .value as $port | "\($name)-\($r)-\($a)-\($p)" as $inner
        | if $address.except == [] then {line: "-A \($name) \($side) \($address.cidr) \($port) -j MARK --set-xmark \(ALLOWED)"}
          else {chain: $inner},
            ($address.except[] | {line: "-A \($inner) \($side) \(.) -j RETURN"}),
            {line: "-A \($inner) -j MARK --set-xmark \(ALLOWED)"},
            {line: "-A \($name) \($side) \($address.cidr) \($port) -j \($inner)"}
          end ]
    + [{line: "-A \($name) -m mark ! --mark \(ALLOWED) -j DROP"}];

[ $all | to_entries[] | .key as $n | .value as $pod
  | [$policies[] | select(.metadata.namespace == $pod.namespace) | select(.spec.podSelector | fits($pod.labels))] as $mine
  | ([$mine[] | select(.spec.policyTypes | index("Egress"))]) as $out
  | ([$mine[] | select(.spec.policyTypes | index("Ingress"))]) as $in
  | {
      out: ([{line: "-A TESTBED -s \($pod.ip)/32 -j MARK --set-xmark \(KNOWN)"}]
        + (if $out == [] then [] else [{line: "-A TESTBED -s \($pod.ip)/32 -j TESTBED-E\($n)"}] end)),
      in: ([{line: "-A TESTBED -d \($pod.ip)/32 -j MARK --set-xmark \(KNOWN)"}]
        + (if $in == [] then [] else [{line: "-A TESTBED -d \($pod.ip)/32 -j TESTBED-I\($n)"}] end)),
      chains: (
        (if $out == [] then [] else chain("TESTBED-E\($n)"; "-d"; "to"; [$out[] | .spec.egress // [] | .[]]; $pod.namespace) end)
        + (if $in == [] then [] else chain("TESTBED-I\($n)"; "-s"; "from"; [$in[] | .spec.ingress // [] | .[]]; $pod.namespace) end))
    } ] as $made
| ([$made[].chains[].chain // empty] | unique) as $chains
| def forget: "-A TESTBED -j MARK --set-xmark 0x0/0x200000";
  def unknown($side): "-A TESTBED \($side) \($pods) -m mark ! --mark \(KNOWN) -j DROP";
[ "*filter", ":TESTBED - [0:0]", ($chains[] | ":\(.) - [0:0]"),
  (($old - $chains - ["TESTBED"])[] | ":\(.) - [0:0]"),
  "-A TESTBED -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
  forget, ($made[].out[].line), unknown("-s"),
  forget, ($made[].in[].line), unknown("-d"), forget,
  ($made[].chains[].line // empty),
  (($old - $chains - ["TESTBED"])[] | "-X \(.)"),
  "COMMIT" ] | .[]
