//! What tests deploy: a small web server, and what is ordered for it.

use alloy::primitives::U256;
use iono_bindings::Spec;
use iono_lease_api::SaltedManifest;
use iono_manifest::{
    Expose, HttpOptions, LeaseManifest, Protocol, PullPolicy, Secret, Service, ServiceResources, Volume,
    VolumeKind,
};
use iono_primitives::{Group, Resources, StorageClass};
use iono_testkit::docker;

/// A service that answers with a nonce.
pub fn hello(nonce: &str, count: u16, image: &str) -> LeaseManifest {
    let expose = Expose {
        port: 8_080,
        external: 80,
        protocol: Protocol::Http,
        global: true,
        public_port: false,
        ip: None,
        accept: Vec::new(),
        to: Vec::new(),
        http_options: HttpOptions::default(),
    };
    let service = Service {
        name: "web".to_owned(),
        image: image.to_owned(),
        command: Vec::new(),
        args: Vec::new(),
        env: [("NONCE".to_owned(), Secret::new(nonce))].into(),
        files: Vec::new(),
        credentials: None,
        pull_policy: PullPolicy::IfNotPresent,
        count,
        resources: ServiceResources { cpu: 100, memory: 64, ephemeral: 64, gpu: None },
        expose: vec![expose],
        volumes: Vec::new(),
    };
    LeaseManifest { endpoints: Vec::new(), services: vec![service], version: LeaseManifest::VERSION }
}

/// The same with a disk that outlives its container.
pub fn hello_with_volume(nonce: &str) -> LeaseManifest {
    let mut manifest = hello(nonce, 1, docker::HELLO);
    manifest.services[0].volumes.push(Volume {
        name: "data".to_owned(),
        mount: "/data".to_owned(),
        size: 32,
        class: StorageClass::Any,
        kind: VolumeKind::Persistent,
        read_only: false,
    });
    manifest
}

/// What is ordered for a manifest.
pub fn spec(manifest: &SaltedManifest) -> Spec {
    let groups = manifest.manifest().groups();
    let sum = |of: fn(&Group) -> u32| groups.iter().map(|group| of(group) * u32::from(group.count)).sum();
    let ports = manifest.manifest().services.iter().flat_map(|service| &service.expose);
    let resources = Resources {
        cpu: sum(|group| group.cpu),
        memory: sum(|group| group.memory),
        storage: sum(|group| group.ephemeral + group.persistent),
        endpoints: u8::try_from(ports.filter(|expose| expose.global).count()).unwrap(),
        ..Resources::default()
    };
    Spec {
        resources: resources.word(),
        manifestHash: manifest.hash(),
        providers: U256::ZERO,
        groups: Group::encode(&groups).into(),
    }
}
