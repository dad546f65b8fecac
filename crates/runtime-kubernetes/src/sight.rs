//! Whether the API server answers, now, and for the same cluster as ever. A connection may be dead without a sign, as
//! when a tunnel or a router on the way has forgotten it: who gets no answer asks again over a new one, and if that is
//! answered first, all old ones are given up, the watches' too.

use std::fs;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use iono_runtime::{RuntimeError, failed};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use tokio::time::{Instant, sleep};

use crate::cluster::{Clients, Cluster, ask};
use crate::inner::Inner;

/// The namespace that every cluster has from its first moment to its last.
const BIRTHMARK: &str = "kube-system";
/// The longest wait for a sign of life.
const SILENCE: Duration = Duration::from_secs(20);
/// After so long a new connection is tried beside those that are waited for.
const DOUBT: Duration = Duration::from_secs(3);
/// How often it is asked for the sake of those who wait for something to happen there.
const BEAT: Duration = Duration::from_secs(5);

impl Inner {
    /// The cluster answers, it is the one that we know, and what it has is known.
    pub(crate) async fn in_sight(&self) -> Result<(), RuntimeError> {
        self.look().await?;
        self.live.known().await
    }

    /// Makes sure of the cluster again and again, so that nobody waits for news from one that is silent.
    pub(crate) async fn keep_in_sight(&self) {
        loop {
            sleep(BEAT).await;
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "the cluster is out of sight");
            }
        }
    }

    async fn look(&self) -> Result<(), RuntimeError> {
        let view = self.live.view();
        let looked = self.cluster.recognise().await;
        if looked == Ok(Sight::New) {
            self.live.begin_anew(view);
        }
        self.live.heard(looked.as_ref().err());
        looked.map(drop)
    }
}

/// How the cluster was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// As ever.
    Same,
    /// What was heard of it before counts no more.
    New,
}

impl Cluster {
    /// Makes sure that the API server answers, and for the same cluster as ever: one whose store was wiped has nothing
    /// of what it ran, and what was there before is unknown, not gone.
    async fn recognise(&self) -> Result<Sight, RuntimeError> {
        let (id, fresh) = self.identity().await?;
        match fs::read_to_string(&self.known) {
            Ok(known) if known.trim() == id => {}
            Ok(known) => {
                return Err(RuntimeError::Unreachable(format!(
                    "this is another cluster than before ({id}, not {}): its store was wiped, or the configuration \
                     leads elsewhere; if that is meant, remove {}",
                    known.trim(),
                    self.known.display()
                )));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.remember(&id)?,
            Err(error) => return Err(failed("read", &self.known, &error)),
        }
        let mut held = self.held.lock().await;
        let is_other = held.id.replace(id.clone()).is_some_and(|before| before != id);
        let is_stale = std::mem::take(&mut held.is_stale) || fresh.is_some();
        if fresh.is_some() {
            held.clients = fresh;
        }
        Ok(if is_other || is_stale { Sight::New } else { Sight::Same })
    }

    /// Which cluster answers, and the clients that it answered to unless these are the usual ones.
    async fn identity(&self) -> Result<(String, Option<Clients>), RuntimeError> {
        let begin = Instant::now();
        let usual = self.clients().await?;
        let mut asked = FuturesUnordered::new();
        asked.push(id_over(usual, false));
        loop {
            tokio::select! {
                Some(answer) = asked.next() => return answer,
                () = sleep(DOUBT) => {}
            }
            if begin.elapsed() >= SILENCE {
                // Who asks next does not wait for these connections.
                let mut held = self.held.lock().await;
                (held.clients, held.is_stale) = (None, true);
                let text = format!("no answer within {} s", SILENCE.as_secs());
                return Err(RuntimeError::Unreachable(text));
            }
            asked.push(id_over(self.new_clients()?, true));
        }
    }

    fn remember(&self, id: &str) -> Result<(), RuntimeError> {
        let write = || {
            fs::create_dir_all(self.known.parent().unwrap_or(&self.known))?;
            let beside = self.known.with_extension("new");
            fs::write(&beside, id)?;
            fs::rename(&beside, &self.known)
        };
        write().map_err(|error| failed("write", &self.known, &error))
    }
}

/// The id of the cluster that answers these clients; they come along if they are new.
async fn id_over(clients: Clients, is_new: bool) -> Result<(String, Option<Clients>), RuntimeError> {
    let namespaces: Api<Namespace> = Api::all(clients.usual.clone());
    let namespace = match ask(namespaces.get(BIRTHMARK)).await {
        Err(RuntimeError::NotFound(_)) => {
            return Err(RuntimeError::Unreachable(format!("it has no namespace {BIRTHMARK} yet")));
        }
        other => other?,
    };
    Ok((namespace.metadata.uid.unwrap_or_default(), is_new.then_some(clients)))
}
