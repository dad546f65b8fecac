//! What goes wrong outside.

use futures::StreamExt;

use super::support::{eventually, job, log_text, observed, shell, workload};
use super::{Harness, with_lease};
use crate::api::NoSwitchboard;
use crate::{LogOptions, PullPolicy, RuntimeError, Service};

/// An engine that does not answer is unknown, never empty.
pub async fn engine_down_is_unknown(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let down = harness.unreachable();
        let desired = workload(lease, vec![shell(harness, "app", "exec sleep 1000")]);
        let unreachable = |error: RuntimeError| matches!(error, RuntimeError::Unreachable(_));
        assert!(down.observe().await.is_err_and(unreachable));
        assert!(down.apply(&desired, &NoSwitchboard).await.is_err_and(unreachable));
        assert!(down.remove(lease).await.is_err_and(unreachable));
        assert!(down.load_manifest(lease).await.is_err_and(unreachable));
        assert!(down.check().await.is_err_and(unreachable));
        assert!(down.logs(lease, None, LogOptions::default()).await.is_err_and(unreachable));
    })
    .await;
}

/// An image that is nowhere is named as the reason, and nothing is left of the attempt.
pub async fn image_that_cannot_be_had(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        for pull in [PullPolicy::Never, PullPolicy::IfNotPresent] {
            let service = Service { pull, ..Service::new("app", "localhost:1/no/such-image:1") };
            let result = runtime.apply(&workload(lease, vec![service]), &NoSwitchboard).await;
            let Err(RuntimeError::ImageUnavailable { image, .. }) = &result else { panic!("{result:?}") };
            assert_eq!(image, "localhost:1/no/such-image:1");
        }
        assert_eq!(observed(&*runtime, lease).await, None);
        assert_eq!(harness.leftovers(lease).await, Vec::<String>::new());
    })
    .await;
}

/// A service that logs without end fills neither the node's disk nor the reader.
pub async fn log_flood_is_bounded(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let line = "yes 0123456789012345678901234567890123456789 | head -c 20000000; echo; echo the-end";
        drop(runtime.apply(&workload(lease, vec![job(harness, "flood", line)]), &NoSwitchboard).await);
        eventually("the flood ends", async || {
            let options = LogOptions { tail: Some(5), ..LogOptions::default() };
            let mut lines = runtime.logs(lease, Some("flood"), options).await.expect("logs");
            while let Some(line) = lines.next().await {
                if line.expect("a line").text == "the-end" {
                    return Some(());
                }
            }
            None
        })
        .await;
        let bytes = log_text(&*runtime, lease, "flood").await.len();
        assert!(bytes < 2 << 20, "{bytes} bytes of log are kept");
    })
    .await;
}
