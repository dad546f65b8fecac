//! What every runtime must do, as tests from outside: through sockets, logs and the engine's own listings.
//!
//! A backend implements [`Harness`] and calls [`crate::conformance_tests!`] in an integration test.

mod faults;
mod files;
pub mod image;
mod limits;
mod network;
mod shell;
mod state;
pub mod support;
mod update;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use iono_primitives::LeaseId;

use crate::Runtime;

pub use faults::{engine_down_is_unknown, image_that_cannot_be_had, log_flood_is_bounded};
pub use files::{
    copies_in_and_out, memory_and_read_only_volumes, secrets_are_files,
    volume_is_bounded_and_survives_updates,
};
pub use limits::{disk_filler_is_stopped, memory_limit_is_the_reason, process_limit_holds};
pub use network::{
    answers_udp, keeps_leases_and_host_apart, services_find_each_other,
    services_reach_what_is_exposed_to_them, shows_a_nonce_outside,
};
pub use shell::{dropping_a_shell_ends_it, runs_commands, shell_has_a_terminal};
pub use state::{
    adopts_without_memory, applies_twice_without_change, keeps_manifests, keeps_the_logs_of_the_dead,
    leaves_nothing_behind, restarts_and_tells, tells_events,
};
pub use update::{
    keeps_the_old_when_the_new_fails, scales_and_drops_services, updates_without_a_failed_request,
};

/// A backend under test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The backend, with its disk quotas measured at least every second and logs bounded to 1 MiB a container.
    fn runtime(&self) -> Arc<dyn Runtime>;
    /// The same owner on the same engine, with no memory and an empty disk.
    fn forgetful(&self) -> Arc<dyn Runtime>;
    /// The same, with an engine that cannot be reached.
    fn unreachable(&self) -> Arc<dyn Runtime>;
    /// How many processes a container may have that asks for at most `asked`; the engine may have one number for all.
    fn processes(&self, asked: usize) -> usize {
        asked
    }
    /// An image on the node with all of busybox and `udp-echo PORT` in `/bin`.
    fn image(&self) -> String;
    /// Everything that the engine and the host still have of a lease, asked without the runtime.
    async fn leftovers(&self, lease: LeaseId) -> Vec<String>;
}

/// Runs one test with a lease of its own, which is removed afterwards even if the test fails.
pub async fn with_lease<T>(harness: &dyn Harness, test: impl AsyncFnOnce(LeaseId) -> T) -> T {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Other processes may run tests on the same engine at the same time.
    let lease = LeaseId(u64::from(std::process::id()) * 1_000 + NEXT.fetch_add(1, Ordering::SeqCst));
    let result = std::panic::AssertUnwindSafe(test(lease)).catch_unwind().await;
    let removed = harness.runtime().remove(lease).await;
    match result {
        Ok(value) => {
            removed.expect("the lease is removed");
            value
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Makes a `#[tokio::test]` of every test of the suite; the argument is an expression for a [`Harness`].
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests!(@each $harness;
            services_find_each_other, services_reach_what_is_exposed_to_them, shows_a_nonce_outside, answers_udp,
            keeps_leases_and_host_apart,
            updates_without_a_failed_request, keeps_the_old_when_the_new_fails, scales_and_drops_services,
            volume_is_bounded_and_survives_updates, memory_and_read_only_volumes, secrets_are_files, copies_in_and_out,
            runs_commands, shell_has_a_terminal, dropping_a_shell_ends_it,
            memory_limit_is_the_reason, process_limit_holds, disk_filler_is_stopped, log_flood_is_bounded,
            engine_down_is_unknown, image_that_cannot_be_had,
            applies_twice_without_change, adopts_without_memory, keeps_manifests, leaves_nothing_behind,
            keeps_the_logs_of_the_dead, restarts_and_tells, tells_events
        );
    };
    (@each $harness:expr; $($test:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let harness = $harness;
                $crate::conformance::$test(&harness).await;
            }
        )*
    };
}
