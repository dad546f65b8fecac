//! What the engine has of this provider, and how it or the disk is lost.

use iono_primitives::LeaseId;
use iono_provider_testkit::listed;
use iono_testkit::{docker, eventually};

use super::{Market, SOON};

impl Market {
    /// As the engine's labels name this provider.
    pub fn owner_label(&self) -> String {
        let book = &self.devnet.book;
        format!("{}.{:#x}.{}", book.chain_id, book.provider_registry, self.me)
    }

    /// Names of this provider's containers for a lease.
    pub async fn containers(&self, lease: LeaseId) -> Vec<String> {
        listed(&["ps", "-a"], &self.owner_label(), lease).await
    }

    /// Waits until the engine has no container and no network of a lease.
    pub async fn emptied(&self, lease: LeaseId) {
        eventually("an empty engine", SOON, || async {
            let gone = self.containers(lease).await.is_empty()
                && listed(&["network", "ls"], &self.owner_label(), lease).await.is_empty();
            gone.then_some(())
        })
        .await
        .unwrap();
    }

    /// Waits until the engine has so many containers of a lease.
    pub async fn has_containers(&self, lease: LeaseId, count: usize) {
        eventually("the containers", SOON, || async {
            (self.containers(lease).await.len() == count).then_some(())
        })
        .await
        .unwrap();
    }

    /// Removes everything of this provider from the engine.
    pub async fn wipe_engine(&self) {
        let owner = format!("label=network.ionosphere.owner={}", self.owner_label());
        for (list, remove) in [
            (vec!["ps", "-aq"], vec!["rm", "-f", "-v"]),
            (vec!["network", "ls", "-q"], vec!["network", "rm"]),
            (vec!["volume", "ls", "-q"], vec!["volume", "rm", "-f"]),
        ] {
            let args: Vec<&str> = list.into_iter().chain(["--filter", owner.as_str()]).collect();
            for id in docker::run(&args).await.unwrap().lines() {
                let args: Vec<&str> = remove.iter().copied().chain([id]).collect();
                let _ = docker::run(&args).await;
            }
        }
    }

    /// Removes the daemon's own files, as when its disk is lost.
    pub fn wipe_disk(&self) {
        std::fs::remove_dir_all(self.dir.join("data")).unwrap();
    }
}
