//! Log lines: those that the cluster has of each pod, and the kept last ones of containers that are gone. The cluster
//! does not tell standard output and standard error apart.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use futures::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use iono_primitives::LeaseId;
use iono_runtime::{KEPT_LINES, LogLine, LogOptions, LogStream, OutputKind, ReplicaState, RuntimeError, now};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, LogParams};

use crate::cluster::{PATIENCE, ask, sort};
use crate::inner::{Inner, name_of};
use crate::names::label;
use crate::observe::{Numbered, has_failed};
use crate::replica;

/// Lines of a replica that are told at most at once: nobody reads a flood from its beginning.
const MOST: u32 = 10_000;
/// Bytes of a line; longer ones come in pieces.
const LONGEST: u64 = 64 * 1024;
/// For a pod that was asked to end.
const END: Duration = Duration::from_secs(120);

/// Which lines of a pod are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of the run before.
    Previous,
    /// Those that are there.
    Present,
    /// Those that are there and that still come.
    UntilTheEnd,
}

impl Inner {
    /// See [`iono_runtime::Runtime::logs`].
    pub(crate) async fn logs(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        options: LogOptions,
    ) -> Result<LogStream, RuntimeError> {
        let replicas = self.select(lease, service, None).await?;
        let mut services: Vec<&str> = replicas.iter().map(|(service, _)| service.as_str()).collect();
        services.dedup();
        let kept = self.kept.read(lease, services, &options);
        let params = LogParams {
            follow: options.follow,
            tail_lines: Some(i64::from(options.tail.unwrap_or(MOST))),
            since_time: options
                .since
                .and_then(|since| Timestamp::from_second(i64::try_from(since).ok()?).ok()),
            timestamps: true,
            ..LogParams::default()
        };
        let mut live = Vec::new();
        for (_, one) in &replicas {
            live.extend(self.lines(lease, one, &params).await?);
        }
        let live = if options.follow {
            stream::select_all(live).boxed()
        } else {
            stream::iter(live).flatten().boxed()
        };
        Ok(stream::iter(kept.into_iter().map(Ok)).chain(live).boxed())
    }

    /// A pod's lines; `None` while it has none.
    async fn lines(
        &self,
        lease: LeaseId,
        one: &Numbered,
        params: &LogParams,
    ) -> Result<Option<BoxStream<'static, Result<LogLine, RuntimeError>>>, RuntimeError> {
        let service = label(&one.pod.metadata, "service").unwrap_or_default().to_owned();
        let pods: Api<Pod> = Api::namespaced(self.cluster.streams().await?, &self.names.namespace(lease));
        match ask(pods.log_stream(name_of(&one.pod), params)).await {
            Ok(lines) => Ok(Some(read(Box::pin(lines), service, one.index).boxed())),
            // Not started yet, or gone already.
            Err(RuntimeError::Refused(_) | RuntimeError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps the last lines of all pods of a service that are about to be removed.
    pub(crate) async fn keep_logs_of(&self, lease: LeaseId, service: &str) {
        for one in self.live.listed(Some(lease)).replicas(lease, service) {
            if replica::of(&one.pod, 0).state == ReplicaState::Exited {
                self.keep_logs(lease, &one.pod, Which::Present).await;
            }
        }
    }

    /// Keeps the lines of pods that the cluster ended, and removes those pods: what follows is a new beginning.
    pub(crate) async fn keep_failed_logs(&self, lease: LeaseId, service: &str) -> Result<(), RuntimeError> {
        let all = self.live.listed(Some(lease)).replicas(lease, service);
        let pods = self.pods(lease).await?;
        for one in all.iter().filter(|one| has_failed(&one.pod)) {
            self.keep_logs(lease, &one.pod, Which::Present).await;
            crate::cluster::or_gone(ask(pods.delete(name_of(&one.pod), &Default::default())).await)?;
        }
        Ok(())
    }

    /// Keeps the last lines of a pod. Losing them must not stop an update.
    pub(crate) async fn keep_logs(&self, lease: LeaseId, pod: &std::sync::Arc<Pod>, which: Which) {
        if self.turns.is_closing(lease) {
            return;
        }
        let params = LogParams {
            tail_lines: Some(i64::from(KEPT_LINES)),
            timestamps: true,
            previous: which == Which::Previous,
            follow: which == Which::UntilTheEnd,
            ..LogParams::default()
        };
        let service = label(&pod.metadata, "service").unwrap_or_default();
        let one = Numbered { pod: std::sync::Arc::clone(pod), index: 0 };
        let mut new: Vec<LogLine> = Vec::new();
        let read = async {
            let Some(mut lines) = self.lines(lease, &one, &params).await? else { return Ok(()) };
            while let Some(line) = lines.try_next().await? {
                new.push(line);
                if new.len() > 2 * KEPT_LINES as usize {
                    new.drain(..KEPT_LINES as usize);
                }
            }
            Ok::<(), RuntimeError>(())
        };
        // Lines that came before a stream broke are worth keeping.
        let patience = if which == Which::UntilTheEnd { END } else { PATIENCE };
        let read = tokio::time::timeout(patience, read).await;
        if let Ok(Err(error)) = read {
            tracing::debug!(%lease, pod = name_of(pod), %error, "some last log lines are lost");
        }
        // A lease that went meanwhile needs none.
        if new.is_empty()
            || self.turns.is_closing(lease)
            || self.live.listed(Some(lease)).namespaces.is_empty()
        {
            return;
        }
        if let Err(error) = self.kept.add(lease, service, new) {
            tracing::warn!(%lease, service, %error, "last log lines are lost");
        }
    }
}

/// The lines of a stream, one by one.
fn read(
    lines: impl AsyncBufRead + Send + Unpin + 'static,
    service: String,
    replica: u32,
) -> impl futures::Stream<Item = Result<LogLine, RuntimeError>> + Send {
    stream::try_unfold((lines, service), move |(mut lines, service)| async move {
        let mut bytes = Vec::new();
        let read = (&mut lines).take(LONGEST).read_until(b'\n', &mut bytes).await;
        match read {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some((line(&bytes, &service, replica), (lines, service)))),
            Err(error) => Err(sort(kube::Error::ReadEvents(error))),
        }
    })
}

fn line(bytes: &[u8], service: &str, replica: u32) -> LogLine {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    let (time, rest) = text.split_once(' ').unwrap_or((text, ""));
    let at = time.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_millisecond()).ok());
    let (at, text) = at.map_or_else(|| (now(), text), |at| (at, rest));
    LogLine { at, service: service.to_owned(), replica, kind: OutputKind::Stdout, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_have_times_and_bounds() {
        let long = "x".repeat(100_000);
        let text = format!("2026-01-02T03:04:05.678901234Z hello world\nno time\n{long}\nlast");
        let bytes = futures::io::Cursor::new(text.into_bytes());
        let lines: Vec<LogLine> = read(bytes, "web".to_owned(), 3).map(|line| line.unwrap()).collect().await;
        assert_eq!(
            (lines[0].at, lines[0].text.as_str(), lines[0].replica),
            (1_767_323_045_678, "hello world", 3)
        );
        assert_eq!(lines[1].text, "no time");
        assert_eq!((lines[2].text.len(), lines[3].text.len()), (65_536, 34_464));
        assert_eq!(lines[4].text, "last");
    }
}
