use alloy::primitives::Address;
use iono_primitives::{LeaseId, ProviderId};
use iono_runtime::{
    Credentials, Owner, Port, Protocol, RestartPolicy, Secret, SecretFile, Service, Vault, Volume,
    VolumeKind, Workload,
};
use serde_json::{Value, json};

use super::{Carried, Object, of};
use crate::{KubernetesConfig, Names};

fn owner() -> Owner {
    Owner { chain_id: 1, registry: Address::repeat_byte(7), provider: ProviderId(3) }
}

fn objects(services: Vec<Service>) -> Vec<Object> {
    let config = KubernetesConfig::new(Vault::new(&[1; 32], owner()), "data");
    let workload = Workload { lease: LeaseId(9), manifest_hash: "ab".to_owned(), services };
    of(&config, &Names::new(&owner()), &workload, &Carried::default()).unwrap()
}

fn find<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object.kind == kind && object.name == name);
    &found.unwrap_or_else(|| panic!("no {kind} {name}")).value
}

fn volume(kind: VolumeKind) -> Volume {
    Volume { name: "data".to_owned(), path: "/data".to_owned(), size_mib: 100, kind, read_only: false }
}

/// A web server, a database that only it reaches, and a job that ends.
fn three() -> Vec<Service> {
    let mut web = Service::new("web", "img/web:1");
    web.args = vec!["--name=$(NAME)".to_owned()];
    web.replicas = 2;
    web.ports = vec![Port::new(8080, Protocol::Tcp)];
    web.env.insert("PASSWORD".to_owned(), Secret::new("swordfish"));
    let mut database = Service::new("db", "img/db:1");
    database.ports =
        vec![Port { to: vec!["web".to_owned()], external: 5432, ..Port::new(15432, Protocol::Tcp) }];
    database.volumes = vec![volume(VolumeKind::Persistent)];
    let mut job = Service::new("job", "img/job:1");
    job.restart = RestartPolicy::Never;
    vec![web, database, job]
}

#[test]
fn a_service_is_kept_running_as_it_asks_for() {
    let objects = objects(three());
    assert_eq!(objects[0].kind, "Namespace");
    assert!(objects[1..].iter().all(|object| object.namespace.as_deref() == Some(objects[0].name.as_str())));
    let web = find(&objects, "Deployment", "web");
    assert_eq!(web["spec"]["replicas"], 2);
    assert_eq!(web["spec"]["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 0}));
    let database = find(&objects, "StatefulSet", "db");
    assert_eq!(
        database["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"],
        "100Mi"
    );
    let job = find(&objects, "Job", "job");
    assert_eq!(job["spec"]["template"]["spec"]["restartPolicy"], "Never");
    assert_eq!(job["spec"]["backoffLimit"], 0);
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["args"], json!(["--name=$$(NAME)"]));
    // Names are for those who have ports.
    let names: Vec<_> = objects.iter().filter(|o| o.kind == "Service").map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["web", "db"]);
    let port = &find(&objects, "Service", "db")["spec"]["ports"][0];
    assert_eq!((&port["port"], &port["targetPort"]), (&json!(5432), &json!(15432)));
}

#[test]
fn pods_have_no_right_that_they_do_not_need() {
    let objects = objects(three());
    let spec = &find(&objects, "Deployment", "web")["spec"]["template"]["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    for forbidden in ["hostNetwork", "hostPID", "hostIPC", "serviceAccountName"] {
        assert!(spec.get(forbidden).is_none(), "{forbidden}");
    }
    let container = &spec["containers"][0];
    let rights = &container["securityContext"];
    assert_eq!((&rights["privileged"], &rights["allowPrivilegeEscalation"]), (&json!(false), &json!(false)));
    assert_eq!(rights["capabilities"]["drop"], json!(["ALL"]));
    assert!(!rights["capabilities"]["add"].as_array().unwrap().contains(&json!("NET_RAW")));
    assert_eq!(container["resources"]["limits"], container["resources"]["requests"]);
    let text = serde_json::to_string(&objects.iter().map(|o| &o.value).collect::<Vec<_>>()).unwrap();
    assert!(!text.contains("hostPath"), "{text}");
}

#[test]
fn the_quota_is_what_the_lease_pays_for_and_twice_that_in_an_update() {
    let objects = objects(three());
    let hard = &find(&objects, "ResourceQuota", "lease")["spec"]["hard"];
    // Two replicas of the web server, one of the job and one of the database, of two generations.
    assert_eq!((&hard["pods"], &hard["limits.cpu"]), (&json!("8"), &json!("8000m")));
    assert_eq!((&hard["persistentvolumeclaims"], &hard["requests.storage"]), (&json!("1"), &json!("100Mi")));
    assert_eq!((&hard["services.nodeports"], &hard["services.loadbalancers"]), (&json!("0"), &json!("0")));
}

#[test]
fn nobody_is_reached_but_by_whom_the_manifest_names() {
    let objects = objects(three());
    let nothing = &find(&objects, "NetworkPolicy", "nothing")["spec"];
    assert_eq!(nothing["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(nothing.get("ingress").is_none() && nothing.get("egress").is_none());
    let database = &find(&objects, "NetworkPolicy", "to-db")["spec"]["ingress"];
    // Its own replicas, and the web server at the container's own port.
    assert_eq!(database.as_array().unwrap().len(), 2);
    assert_eq!(database[1]["ports"][0]["port"], 15432);
    assert_eq!(database[1]["from"][0]["podSelector"]["matchExpressions"][0]["values"], json!(["web"]));
    let targets =
        |name: &str| find(&objects, "NetworkPolicy", name)["spec"]["egress"].as_array().unwrap().len();
    // To themselves; the web server to the database, the job to the web server, the database to the web server.
    assert_eq!([targets("from-web"), targets("from-job"), targets("from-db")], [2, 2, 2]);
    let internet = &find(&objects, "NetworkPolicy", "internet")["spec"]["egress"][0]["to"][0]["ipBlock"];
    assert!(internet["except"].as_array().unwrap().contains(&json!("169.254.0.0/16")));
}

#[test]
fn the_clusters_own_machines_are_not_the_internet() {
    let config = KubernetesConfig::new(Vault::new(&[1; 32], owner()), "data");
    let workload = Workload { lease: LeaseId(9), manifest_hash: "ab".to_owned(), services: three() };
    let carried = Carried { own_blocks: ["203.0.113.5/32".to_owned()].into(), ..Carried::default() };
    let objects = of(&config, &Names::new(&owner()), &workload, &carried).unwrap();
    let internet = &find(&objects, "NetworkPolicy", "internet")["spec"]["egress"][0]["to"][0]["ipBlock"];
    assert!(internet["except"].as_array().unwrap().contains(&json!("203.0.113.5/32")));
}

#[test]
fn secrets_are_in_secrets_alone() {
    let mut service = Service::new("web", "img");
    service.env.insert("PASSWORD".to_owned(), Secret::new("swordfish"));
    service.secrets = vec![SecretFile { path: "/etc/key".to_owned(), content: Secret::new("c2VjcmV0") }];
    service.credentials = Some(Credentials {
        host: "registry.example".to_owned(),
        username: Secret::new("me"),
        password: Secret::new("hunter2"),
    });
    let made = objects(vec![service.clone()]);
    for object in made.iter().filter(|object| object.kind != "Secret") {
        let text = object.value.to_string();
        for secret in ["swordfish", "c2VjcmV0", "hunter2"] {
            assert!(!text.contains(secret), "{} {}", object.kind, object.name);
        }
    }
    let pod = |objects: &[Object]| find(objects, "Deployment", "web")["spec"]["template"].clone();
    assert_eq!(pod(&made)["spec"]["imagePullSecrets"][0]["name"], "web-login");
    assert_eq!(pod(&made)["spec"]["containers"][0]["envFrom"][0]["secretRef"]["name"], "web-environment");
    // Another secret makes another pod, the same one the same.
    assert_eq!(pod(&objects(vec![service.clone()])), pod(&made));
    service.env.insert("PASSWORD".to_owned(), Secret::new("other"));
    assert_ne!(pod(&objects(vec![service])), pod(&made));
}

#[test]
fn a_port_that_is_exposed_twice_is_one_of_the_container() {
    let mut web = Service::new("web", "img");
    let port = |external, protocol| Port { external, ..Port::new(8080, protocol) };
    web.ports = vec![port(80, Protocol::Tcp), port(443, Protocol::Tcp), port(80, Protocol::Udp)];
    let objects = objects(vec![web]);
    let container =
        &find(&objects, "Deployment", "web")["spec"]["template"]["spec"]["containers"][0]["ports"];
    let expected = json!([
        {"containerPort": 8080, "protocol": "TCP"}, {"containerPort": 8080, "protocol": "UDP"}
    ]);
    assert_eq!(container, &expected);
    assert_eq!(find(&objects, "Service", "web")["spec"]["ports"].as_array().unwrap().len(), 3);
}

#[test]
fn long_volume_names_fit_and_stay_apart() {
    let mut web = Service::new("web", "img");
    let long = |last: &str| {
        let name = format!("{}{last}", "d".repeat(62));
        Volume { path: format!("/{last}"), name, ..volume(VolumeKind::Ephemeral) }
    };
    web.volumes = vec![long("a"), long("b"), volume(VolumeKind::Ephemeral)];
    let objects = objects(vec![web]);
    let spec = &find(&objects, "Deployment", "web")["spec"]["template"]["spec"];
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let volumes = names(&spec["volumes"]);
    assert!(volumes.iter().all(|name| name.len() <= 63), "{volumes:?}");
    assert_ne!(volumes[1], volumes[2]);
    assert_eq!(volumes[3], "volume-data");
    assert_eq!(names(&spec["containers"][0]["volumeMounts"]), volumes);
}

#[test]
fn a_disk_may_lie_where_shared_memory_would() {
    let mut web = Service::new("web", "img");
    web.volumes = vec![Volume { path: "/dev/shm/".to_owned(), ..volume(VolumeKind::Ephemeral) }];
    let objects = objects(vec![web]);
    let spec = &find(&objects, "Deployment", "web")["spec"]["template"]["spec"];
    assert_eq!(spec["volumes"].as_array().unwrap().len(), 1);
    assert_eq!(spec["containers"][0]["volumeMounts"].as_array().unwrap().len(), 1);
}

#[test]
fn names_that_kubernetes_does_not_have_are_refused() {
    let refusal = |service: Service| {
        let config = KubernetesConfig::new(Vault::new(&[1; 32], owner()), "data");
        let workload =
            Workload { lease: LeaseId(9), manifest_hash: "ab".to_owned(), services: vec![service] };
        let made = of(&config, &Names::new(&owner()), &workload, &Carried::default());
        made.err().map(|error| error.to_string())
    };
    let with_port =
        |name: &str| Service { ports: vec![Port::new(80, Protocol::Tcp)], ..Service::new(name, "img") };
    assert_eq!(refusal(with_port("a2048")), None);
    assert!(refusal(with_port("2048")).unwrap().contains("begins with a letter"));
    assert_eq!(refusal(Service::new("2048", "img")), None, "nobody calls it");
    let kept = |length: usize| Service {
        volumes: vec![volume(VolumeKind::Persistent)],
        ..Service::new("k".repeat(length), "img")
    };
    assert_eq!(refusal(kept(52)), None);
    assert!(refusal(kept(53)).unwrap().contains("at most 52 characters"));
    let variable = |name: String| {
        let mut service = Service::new("web", "img");
        service.env.insert(name, Secret::new("x"));
        refusal(service)
    };
    assert_eq!(variable(".a".to_owned()), None);
    for odd in [".".to_owned(), "..".to_owned(), "..a".to_owned(), "V".repeat(254)] {
        assert!(variable(odd.clone()).unwrap().contains(&format!("rename `{odd}`")), "{odd}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_made() {
    let mut service = Service::new("job", "img");
    service.restart = RestartPolicy::Never;
    service.volumes = vec![volume(VolumeKind::Persistent)];
    let config = KubernetesConfig::new(Vault::new(&[1; 32], owner()), "data");
    let workload = Workload { lease: LeaseId(9), manifest_hash: "ab".to_owned(), services: vec![service] };
    let refused = of(&config, &Names::new(&owner()), &workload, &Carried::default()).unwrap_err();
    assert!(refused.to_string().contains("always restarted"), "{refused}");
}

#[test]
fn a_router_outside_of_the_cluster_is_let_in() {
    let plain = KubernetesConfig::new(Vault::new(&[1; 32], owner()), "data");
    let from = |config: &KubernetesConfig| {
        let workload = Workload { lease: LeaseId(9), manifest_hash: "ab".to_owned(), services: three() };
        let objects = of(config, &Names::new(&owner()), &workload, &Carried::default()).unwrap();
        find(&objects, "NetworkPolicy", "router")["spec"]["ingress"][0]["from"].as_array().unwrap().clone()
    };
    assert_eq!(from(&plain).len(), 1);
    let config = KubernetesConfig { routers: vec!["192.0.2.7/32".to_owned()], ..plain };
    assert_eq!(from(&config)[1], json!({"ipBlock": {"cidr": "192.0.2.7/32"}}));
}
