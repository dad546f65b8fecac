//! Every published sample parses, or is refused for the reason that stands beside it. The samples lie outside the
//! repository; where they are absent, the test says so and passes over them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::path::Path;

use iono_manifest::{MAX_MANIFEST_BYTES, parse, resolve};

/// File, and how it ends: the hourly price, or the first problem with its place.
const SAMPLES: [(&str, Result<&str, &str>); 39] = [
    ("akash/AI-Image-App_deploy.yaml", Ok("60 ACT")),
    ("akash/DeepSeek-R1-Distill-Llama-8B_deploy.yaml", Ok("600 ACT")),
    ("akash/FastChat_deploy.yaml", Ok("60 ACT")),
    ("akash/Llama-3.1-405B-BF16_deploy.yaml", Ok("612 ACT")),
    ("akash/MyEtherWallet_deploy.yaml", Err("28:9: error: signedBy: auditors do not sign")),
    ("akash/Qwen3-235B-A22B-Instruct-2507_deploy.yaml", Ok("600 ACT")),
    ("akash/Sentinel-dVPN-node_deploy.yml", Ok("60 ACT")),
    ("akash/akash-trainer_deploy.yaml", Ok("6 AKT")),
    // A configuration of the trainer, no manifest.
    ("akash/axolotlai_llama-3.2-1b-lora-4bit.yaml", Err("1:1: error: manifest: unknown key `base_model`")),
    // Akash's own parser has no suffix `gi` either.
    ("akash/bitbucket_deploy.yaml", Err("18:17: error: memory: `4gi` is no size")),
    (
        "akash/chia-bladebit-disk_configs_bladebit-32-425-2000.yaml",
        Err("68:9: error: signedBy: auditors do not sign"),
    ),
    ("akash/chia-bladebit_deploy.yaml", Err("70:9: error: signedBy: auditors do not sign")),
    ("akash/codex_deploy.yml", Ok("180 ACT")),
    ("akash/dify_deploy.yaml", Ok("35.4 ACT")),
    ("akash/flame_deploy.yaml", Err("28:13: error: signedBy: auditors do not sign")),
    ("akash/ghrunner_deploy.yaml", Err("22:17: error: memory: `2gb` is no size")),
    ("akash/gradio-demo_deploy.yaml", Err("29:9: error: signedBy: auditors do not sign")),
    ("akash/ipfs_deploy.yaml", Ok("12 ACT")),
    ("akash/kawpow-pool-neoxa_deploy.yaml", Err("111:9: error: signedBy: auditors do not sign")),
    // A slip of the pen that would have left the database closed.
    ("akash/matomo_deploy.yaml", Err("16:13: error: to: unknown key `servcie`")),
    ("akash/moneroocean_configs_128vCPU.yaml", Ok("24 ACT")),
    ("akash/neo4j_deploy.yaml", Err("52:9: error: signedBy: auditors do not sign")),
    ("akash/open-webui-cpu_deploy.yaml", Err("57:9: error: signedBy: auditors do not sign")),
    ("akash/persistent-storage-performance-testing_deploy.yaml", Ok("6 ACT")),
    ("akash/privategpt-gpu_deploy.yaml", Err("31:9: error: signedBy: auditors do not sign")),
    // A comma in a name, `Gb`, and more shared memory than memory.
    ("akash/ray_ray-nightly-py310-gpu.yml", Err("21:24: error: to: there is no service `ray-worker,`")),
    ("akash/serverbench_deploy.yaml", Ok("6 ACT")),
    ("akash/status_deploy.yaml", Ok("60 ACT")),
    ("akash/tensorflow-jupyter-ezkl_deploy.yaml", Err("18:17: error: memory: `256GB` is no size")),
    ("akash/tronwallet_deploy.yaml", Ok("6 ACT")),
    ("akash/vllm_vllm_with_openwebui_dolphin2-9-llama3-70b.yml", Ok("1200 ACT")),
    ("akash/whoogle-search_deploy.yaml", Err("32:9: error: signedBy: auditors do not sign")),
    ("akash/zcash-zcashd_deploy.yaml", Ok("600 ACT")),
    ("spheron/examples_spheron.fizz.yaml", Ok("1 SPON")),
    ("spheron/examples_spheron.ssh.yaml", Ok("1 SPON")),
    ("spheron/ollama-webui_spheron.yaml", Ok("1 SPON")),
    ("spheron/ray_worker_spheron.yaml", Ok("1 SPON")),
    ("spheron/unsloth-finetuning_spheron.yaml", Ok("2 SPON")),
    ("spheron/wordpress_spheron.yaml", Ok("1 SPON")),
];

/// Samples that are right and that no provider can serve yet, with the first thing that is in the way.
const UNAVAILABLE: [(&str, &str); 4] = [
    ("akash/Sentinel-dVPN-node_deploy.yml", "endpoints: no provider leases IP addresses"),
    ("akash/codex_deploy.yml", "endpoints: no provider leases IP addresses"),
    ("akash/status_deploy.yaml", "endpoints: no provider leases IP addresses"),
    ("spheron/ray_worker_spheron.yaml", "use_public_port: "),
];

#[test]
fn published_samples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/manifests");
    if !folder.is_dir() {
        eprintln!("passed over: no samples at {}", folder.display());
        return;
    }
    for (name, expected) in SAMPLES {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        match (parse(&text), expected) {
            (Ok(deployment), Ok(price)) => {
                let missing = UNAVAILABLE.iter().find(|(known, _)| *known == name).map(|(_, first)| *first);
                match (deployment.unavailable.first(), missing) {
                    (Some(found), Some(first)) => {
                        assert!(found.message.starts_with(first), "{name}: {found}")
                    }
                    (found, missing) => assert_eq!((found, missing), (None, None), "{name}"),
                }
                let hourly = deployment.price.rate.hourly();
                assert_eq!(format!("{hourly} {}", deployment.price.denomination), price, "{name}");
                assert_eq!(deployment.order().groups.len(), deployment.services.len(), "{name}");
                let manifest = resolve(&deployment, |_| unreachable!("samples have no secrets")).unwrap();
                let bytes = manifest.canonical();
                assert!(bytes.len() <= MAX_MANIFEST_BYTES, "{name}");
                assert_eq!(iono_manifest::LeaseManifest::decode(&bytes).unwrap(), manifest, "{name}");
            }
            (Err(problems), Err(first)) => {
                assert!(problems.to_string().starts_with(first), "{name}: {problems}");
            }
            (outcome, expected) => panic!("{name}: expected {expected:?}, got {outcome:?}"),
        }
    }
    let listed: BTreeSet<String> = SAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    for dialect in ["akash", "spheron"] {
        for file in std::fs::read_dir(folder.join(dialect)).unwrap() {
            let name = format!("{dialect}/{}", file.unwrap().file_name().to_string_lossy());
            assert!(listed.contains(&name), "{name} stands in no line of the table");
        }
    }
}

#[test]
fn own_examples_parse_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let deployment = parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(deployment.warnings, [], "{}", path.display());
            assert_eq!(deployment.unavailable, [], "{}", path.display());
            resolve(&deployment, |_| Ok(b"secret\n".to_vec())).unwrap();
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} examples");
}
