//! The API server is down, silent or slow: nothing is known meanwhile, what runs runs on, and afterwards all is as before.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use iono_primitives::LeaseId;
use iono_runtime::conformance::support::{Routed, eventually, observed};
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{Runtime, Workload};
use iono_runtime_kubernetes::KubernetesRuntime;
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Cluster, kubectl};
use crate::proxy::{Proxy, Way};
use crate::support::{Client, SILENCE, fresh, is_exactly, lease_of, namespace, pods, small, unreachable};

/// How soon the truth is told again.
const BACK: Duration = Duration::from_secs(5);

/// A runtime by a way of its own.
struct Far {
    proxy: Proxy,
    runtime: KubernetesRuntime,
    routed: Arc<Routed>,
}

impl Far {
    async fn new(cluster: &Cluster, lease: LeaseId) -> Self {
        let proxy = Proxy::new(&cluster.config).await;
        let runtime = fresh(&proxy.config(&cluster.config), cluster.dir.path());
        Self { proxy, runtime, routed: Arc::new(Routed::new(lease, Vec::new()).await) }
    }

    async fn apply(&self, workload: &Workload) {
        self.runtime.apply(workload, &*self.routed).await.unwrap();
    }

    /// An update is under way, and the way goes bad once its pods are being made.
    async fn lose_in_the_middle(&self, next: &Workload, way: Way) -> String {
        let lease = next.lease;
        let update =
            unreachable("an update that is cut off", async { self.runtime.apply(next, &*self.routed).await });
        let lose = async {
            eventually("a pod of the next generation", async || (pods(lease).len() == 2).then_some(())).await;
            self.proxy.set(way);
        };
        tokio::join!(update, lose).0
    }

    /// All calls say that nothing is known, and none hangs.
    async fn nothing_is_known(&self, next: &Workload) {
        // Calls for one lease wait for each other.
        let other = Workload { lease: LeaseId(next.lease.0 + 1_000_000_000_000), ..next.clone() };
        tokio::join!(
            unreachable("observe", self.runtime.observe()),
            unreachable("apply", self.runtime.apply(&other, &*self.routed)),
            unreachable("remove", self.runtime.remove(next.lease)),
            unreachable("load_manifest", self.runtime.load_manifest(next.lease)),
        );
    }

    /// Looks as the provider does, the next time right after the last, until the truth is told.
    async fn truth_is_told(&self, cluster: &Cluster, lease: LeaseId, since: impl Future<Output = Instant>) {
        let runtime = self.runtime.clone();
        let mut look = tokio::spawn(async move {
            loop {
                if let Ok(seen) = runtime.observe().await {
                    return (Instant::now(), seen);
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
        let begin = since.await;
        let found = timeout(2 * BACK, &mut look).await;
        look.abort();
        let (told, seen) = found.expect("the truth is told again").unwrap();
        assert!(told >= begin, "something was told while nothing could be known");
        assert!(told - begin < BACK, "the truth took {:?}", told - begin);
        let own = seen.into_iter().find(|one| one.lease == lease);
        assert_eq!(own, observed(&*cluster.runtime(), lease).await);
    }

    /// The update that was cut off ends well, and the watches tell what happens after it.
    async fn all_is_well(&self, cluster: &Cluster, next: &Workload) {
        self.apply(next).await;
        is_exactly(cluster, next).await;
        assert_eq!(self.routed.get().await.unwrap().1, "body-b\n");
        let mut changes = self.runtime.changes();
        kubectl(&["delete", "pod", "--all", "--wait=false", "-n", &namespace(next.lease)]);
        assert_eq!(timeout(BACK, changes.next()).await.expect("a change is told"), Some(next.lease));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_server_is_down_for_a_minute() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let far = Far::new(&cluster, lease).await;
        far.apply(&lease_of(lease, "a", small(&cluster, "a"))).await;
        let (before, client) = (pods(lease), Client::new(&far.routed));
        let next = lease_of(lease, "b", small(&cluster, "b"));
        let down = Instant::now();
        far.lose_in_the_middle(&next, Way::Cut).await;
        let up = async {
            while down.elapsed() < Duration::from_secs(60) {
                far.nothing_is_known(&next).await;
                sleep(Duration::from_secs(5)).await;
            }
            assert!(pods(lease).is_superset(&before), "what ran runs on");
            far.proxy.set(Way::Open);
            Instant::now()
        };
        far.truth_is_told(&cluster, lease, up).await;
        let next = lease_of(lease, "b", small(&cluster, "b"));
        far.apply(&next).await;
        assert!(client.end().await > 100);
        far.all_is_well(&cluster, &next).await;
    })
    .await;
}

/// The worst of all: no error, no end, only silence; and what was connected stays silent when others are answered.
#[tokio::test(flavor = "multi_thread")]
async fn api_server_is_silent() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let far = Far::new(&cluster, lease).await;
        far.apply(&lease_of(lease, "a", small(&cluster, "a"))).await;
        let (before, client) = (pods(lease), Client::new(&far.routed));
        let next = lease_of(lease, "b", small(&cluster, "b"));
        let begin = Instant::now();
        far.lose_in_the_middle(&next, Way::Silent).await;
        assert!(begin.elapsed() < SILENCE + BACK, "it took {:?}", begin.elapsed());
        far.nothing_is_known(&next).await;
        assert!(pods(lease).is_superset(&before), "what ran runs on");
        // Back while somebody waits for an answer.
        let back = async {
            sleep(Duration::from_secs(8)).await;
            far.proxy.set(Way::Open);
            Instant::now()
        };
        far.truth_is_told(&cluster, lease, back).await;
        far.apply(&next).await;
        assert!(client.end().await > 100);
        far.all_is_well(&cluster, &next).await;
    })
    .await;
}

/// A fifth of a second each way and the bandwidth of a bad telephone line: all takes longer, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn api_server_is_slow() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let far = Far::new(&cluster, lease).await;
        far.proxy.set(Way::Slow);
        far.runtime.store_manifest(lease, b"sealed").await.unwrap();
        far.apply(&lease_of(lease, "a", small(&cluster, "a"))).await;
        let client = Client::new(&far.routed);
        let next = lease_of(lease, "b", small(&cluster, "b"));
        far.apply(&next).await;
        assert!(client.end().await > 50);
        assert!(observed(&far.runtime, lease).await.is_some_and(|own| own.is_ready() && own.has_manifest));
        far.runtime.remove(lease).await.unwrap();
        assert_eq!(cluster.leftovers(lease).await, Vec::<String>::new());
        assert_eq!(observed(&far.runtime, lease).await, None);
    })
    .await;
}
