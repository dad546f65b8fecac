//! Files into and out of replicas, as tar archives, by the `tar` of the container's own image.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use iono_primitives::LeaseId;
use iono_runtime::{ByteStream, ExecInput, ExecOutput, ExecSession, OutputKind, RuntimeError};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::inner::Inner;
use crate::inventory::milli;

/// The script's exit code for a path that is not there.
const NOWHERE: i64 = 44;
/// What a shell says of a program that it does not find.
const NO_PROGRAM: i64 = 127;
const IN: &str = r#"[ -d "$1" ] || exit 44; exec tar -xf - -C "$1""#;
const OUT: &str =
    r#"p=${1%/}; [ -e "${p:-/}" ] || exit 44; d=${p%/*}; n=${p##*/}; exec tar -cf - -C "${d:-/}" "${n:-.}""#;

impl Inner {
    /// See [`iono_runtime::Runtime::copy_in`].
    pub(crate) async fn copy_in(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
        path: &str,
        mut archive: ByteStream,
    ) -> Result<(), RuntimeError> {
        let pod = self.running(lease, service, replica).await?;
        let most = self.disk_of(lease, service, &pod);
        let mut session = self.script(lease, &pod, IN, path).await?;
        let mut sent = 0u64;
        while let Some(bytes) = archive.try_next().await? {
            sent = sent.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if sent > most {
                // Whatever its target, this can only be a mistake or an attack.
                let text = format!("the archive is larger than the replica's disk of {} MiB", most >> 20);
                return Err(RuntimeError::Refused(text));
            }
            // The command may have ended early; its exit tells why.
            if session.input.send(ExecInput::Stdin(bytes)).await.is_err() {
                break;
            }
        }
        drop(session.input.send(ExecInput::Eof).await);
        let mut words = String::new();
        while let Some(output) = session.output.next().await {
            match output? {
                ExecOutput::Output(_, bytes) => note(&mut words, &bytes),
                ExecOutput::Exit(code) => return verdict(code, path, &words),
            }
        }
        Err(RuntimeError::Unreachable("the copy's connection broke".to_owned()))
    }

    /// See [`iono_runtime::Runtime::copy_out`].
    pub(crate) async fn copy_out(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
        path: &str,
    ) -> Result<ByteStream, RuntimeError> {
        let pod = self.running(lease, service, replica).await?;
        let mut session = self.script(lease, &pod, OUT, path).await?;
        let mut words = String::new();
        // The first piece tells whether the path is there.
        let first = loop {
            match session.output.next().await.transpose()? {
                Some(ExecOutput::Output(OutputKind::Stdout, bytes)) => break bytes,
                Some(ExecOutput::Output(OutputKind::Stderr, bytes)) => note(&mut words, &bytes),
                Some(ExecOutput::Exit(code)) => {
                    verdict(code, path, &words)?;
                    break bytes::Bytes::new();
                }
                None => return Err(RuntimeError::Unreachable("the copy's connection broke".to_owned())),
            }
        };
        let path = path.to_owned();
        let rest = stream::try_unfold((session, words), move |(mut session, mut words)| {
            let path = path.clone();
            async move {
                loop {
                    match session.output.next().await.transpose()? {
                        Some(ExecOutput::Output(OutputKind::Stdout, bytes)) => {
                            return Ok(Some((bytes, (session, words))));
                        }
                        Some(ExecOutput::Output(OutputKind::Stderr, bytes)) => note(&mut words, &bytes),
                        Some(ExecOutput::Exit(code)) => return verdict(code, &path, &words).map(|()| None),
                        None => return Ok(None),
                    }
                }
            }
        });
        Ok(stream::iter([Ok(first)]).chain(rest).boxed())
    }

    async fn script(
        &self,
        lease: LeaseId,
        pod: &Arc<Pod>,
        script: &str,
        path: &str,
    ) -> Result<ExecSession, RuntimeError> {
        let command = ["/bin/sh", "-c", script, "sh", path].map(str::to_owned);
        Ok(self.session(&self.names.namespace(lease), pod, &command, None).await?.0)
    }

    /// Bytes of disk that a replica has: its own and its volumes'.
    fn disk_of(&self, lease: LeaseId, service: &str, pod: &Pod) -> u64 {
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        let limits = container.and_then(|container| container.resources.as_ref()?.limits.as_ref());
        let own = limits.and_then(|limits| limits.get("ephemeral-storage")).map_or(0, mebibytes);
        let listed = self.live.listed(Some(lease));
        let set = listed.stateful_sets.iter().find(|set| set.metadata.name.as_deref() == Some(service));
        let claims = set.and_then(|set| set.spec.as_ref()?.volume_claim_templates.as_ref());
        let volumes = claims.into_iter().flatten().filter_map(|claim| {
            claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage").map(mebibytes)
        });
        (own + volumes.sum::<u64>()) << 20
    }
}

fn mebibytes(quantity: &Quantity) -> u64 {
    milli(&quantity.0).and_then(|milli| u64::try_from((milli / 1_000) >> 20).ok()).unwrap_or(0)
}

/// The beginning of what a command complains of.
fn note(words: &mut String, bytes: &[u8]) {
    if words.len() < 1_000 {
        words.push_str(&String::from_utf8_lossy(&bytes[..bytes.len().min(1_000)]));
    }
}

fn verdict(code: i64, path: &str, words: &str) -> Result<(), RuntimeError> {
    match code {
        0 => Ok(()),
        NOWHERE => Err(RuntimeError::NotFound(format!("there is no `{path}` in the replica"))),
        NO_PROGRAM => {
            Err(RuntimeError::Refused("copying takes `tar` in the image, and it has none".to_owned()))
        }
        _ if words.contains("No space left") => Err(RuntimeError::NoSpace(words.trim().to_owned())),
        _ => Err(RuntimeError::Engine(format!("tar ended with code {code}: {}", words.trim()))),
    }
}
