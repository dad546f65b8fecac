//! Volumes, secrets, copies.

use std::io::Read;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use super::support::{run, shell, workload};
use super::{Harness, with_lease};
use crate::api::NoSwitchboard;
use crate::{RuntimeError, Secret, SecretFile, Volume, VolumeKind};

fn volume(name: &str, path: &str, size_mib: u32, kind: VolumeKind) -> Volume {
    Volume { name: name.to_owned(), path: path.to_owned(), size_mib, kind, read_only: false }
}

/// What is in a persistent volume is there after an update; what is not goes with the container. No volume takes more
/// than its size.
pub async fn volume_is_bounded_and_survives_updates(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let make = |generation: &str| {
            let mut service = shell(harness, "db", "exec sleep 1000");
            service.env.insert("GENERATION".to_owned(), Secret::from(generation));
            let kept = volume("kept", "/kept", 16, VolumeKind::Persistent);
            service.volumes = vec![kept, volume("gone", "/gone", 16, VolumeKind::Ephemeral)];
            workload(lease, vec![service])
        };
        runtime.apply(&make("1"), &NoSwitchboard).await.expect("applied");
        let ran = run(&*runtime, lease, "db", "echo data > /kept/file; echo x > /gone/file; id -u", "").await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        let full = run(&*runtime, lease, "db", "dd if=/dev/zero of=/kept/filler bs=1M count=64", "").await;
        assert!(full.code != 0 && full.err.contains("No space left"), "{}", full.err);
        runtime.apply(&make("2"), &NoSwitchboard).await.expect("updated");
        let ran = run(&*runtime, lease, "db", "cat /kept/file; ls /gone; echo $GENERATION", "").await;
        assert_eq!(ran.out, "data\n2\n");
    })
    .await;
}

/// A volume in memory takes no more than its size; a read-only one takes nothing.
pub async fn memory_and_read_only_volumes(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let mut service = shell(harness, "app", "exec sleep 1000");
        let read_only = Volume { read_only: true, ..volume("ro", "/ro", 4, VolumeKind::Persistent) };
        service.volumes = vec![volume("ram", "/ram", 4, VolumeKind::Ram), read_only];
        service.read_only_root = true;
        runtime.apply(&workload(lease, vec![service]), &NoSwitchboard).await.expect("applied");
        let ran = run(&*runtime, lease, "app", "echo x > /ram/a && cat /ram/a", "").await;
        assert_eq!(ran.out, "x\n", "{}", ran.err);
        let full = run(&*runtime, lease, "app", "dd if=/dev/zero of=/ram/b bs=1M count=8", "").await;
        assert!(full.code != 0, "{}", full.out);
        for path in ["/ro/a", "/etc/a", "/a"] {
            let ran = run(&*runtime, lease, "app", &format!("echo x > {path}"), "").await;
            assert!(ran.code != 0, "{path} can be written");
        }
    })
    .await;
}

/// Secrets are read-only files, seen by nobody who lists what is there.
pub async fn secrets_are_files(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let secret = "correct horse battery staple";
        let mut service = shell(harness, "app", "exec sleep 1000");
        let content = Secret::from(BASE64_STANDARD.encode(secret).as_str());
        service.secrets = vec![SecretFile { path: "/run/secrets/key".to_owned(), content }];
        runtime.apply(&workload(lease, vec![service]), &NoSwitchboard).await.expect("applied");
        let ran = run(&*runtime, lease, "app", "cat /run/secrets/key", "").await;
        assert_eq!(ran.out, secret);
        let ran = run(&*runtime, lease, "app", "echo x > /run/secrets/key", "").await;
        assert!(ran.code != 0);
        let seen = harness.leftovers(lease).await.join("\n");
        assert!(
            !seen.is_empty() && !seen.contains(secret) && !seen.contains(&BASE64_STANDARD.encode(secret))
        );
    })
    .await;
}

/// A tree goes in and comes out the same; a path that is not there says so.
pub async fn copies_in_and_out(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let service = shell(harness, "app", "exec sleep 1000");
        runtime.apply(&workload(lease, vec![service]), &NoSwitchboard).await.expect("applied");
        assert_eq!(run(&*runtime, lease, "app", "mkdir /in", "").await.code, 0);
        let data: Vec<u8> = (0..200_000u32).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect();
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(200_000);
        header.set_mode(0o640);
        builder.append_data(&mut header, "tree/data.bin", &data[..]).expect("an archive");
        let archive = builder.into_inner().expect("an archive");
        let pieces: Vec<_> = archive.chunks(8_192).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let stream = futures::stream::iter(pieces).boxed();
        runtime.copy_in(lease, "app", None, "/in", stream).await.expect("copied in");
        let ran = run(&*runtime, lease, "app", "wc -c < /in/tree/data.bin", "").await;
        assert_eq!(ran.out.trim(), "200000");
        let out = runtime.copy_out(lease, "app", None, "/in/tree").await.expect("copied out");
        let bytes: Vec<u8> = out
            .try_fold(Vec::new(), async |all, piece| Ok([all, piece.to_vec()].concat()))
            .await
            .expect("whole");
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut found = Vec::new();
        for entry in archive.entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            if entry.path().expect("a path").ends_with("data.bin") {
                entry.read_to_end(&mut found).expect("content");
            }
        }
        assert!(found == data);
        let missing = runtime.copy_out(lease, "app", None, "/nowhere").await;
        assert!(matches!(missing, Err(RuntimeError::NotFound(_))));
        let empty = futures::stream::empty().boxed();
        let missing = runtime.copy_in(lease, "app", None, "/nowhere", empty).await;
        assert!(matches!(missing, Err(RuntimeError::NotFound(_))), "{missing:?}");
    })
    .await;
}
