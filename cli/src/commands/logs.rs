//! `iono logs` and `iono events`. Followed streams survive the provider's restarts: what was shown is not shown again.

use std::time::{Duration, Instant};

use futures::StreamExt;
use iono_identity::unix_now;
use iono_lease_api::{ClientError, EventQuery, LogLine, LogQuery};
use serde::Serialize;

use crate::args::lease::{Events, Logs};
use crate::context::Context;
use crate::error::Result;
use crate::output::{Output, Report, write_out};
use crate::remote::{self, Need, Remote, Remotely};
use crate::time;

/// How long a followed stream may be gone before the command gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts to get a followed stream back.
const AGAIN: Duration = Duration::from_secs(1);
/// Lines of the newest millisecond that are remembered.
const RECENT: usize = 4_096;

/// Writes items as they come: text lines, lines of JSON when following, one JSON array otherwise.
struct Writer {
    output: Output,
    follow: bool,
    first: bool,
}

impl Writer {
    fn new(output: Output, follow: bool) -> Self {
        Self { output, follow, first: true }
    }

    fn item(&mut self, item: &impl Serialize, text: &str) -> Result<()> {
        if !self.output.json {
            return write_out(text.as_bytes(), true);
        }
        if !self.follow {
            write_out(if self.first { b"[" } else { b"," }, true)?;
            self.first = false;
        }
        self.output.document(item, false)
    }

    fn end(&self) -> Result<()> {
        match (self.output.json && !self.follow, self.first) {
            (true, true) => write_out(b"[]", true),
            (true, false) => write_out(b"]", true),
            (false, _) => Ok(()),
        }
    }
}

/// Which log lines were shown already, when a followed stream begins again.
#[derive(Default)]
struct Shown {
    at_ms: u64,
    recent: Vec<LogLine>,
}

impl Shown {
    fn is_new(&mut self, line: &LogLine) -> bool {
        if line.at_ms < self.at_ms || (line.at_ms == self.at_ms && self.recent.contains(line)) {
            return false;
        }
        if line.at_ms > self.at_ms {
            self.at_ms = line.at_ms;
            self.recent.clear();
        }
        if self.recent.len() < RECENT {
            self.recent.push(line.clone());
        }
        true
    }
}

pub(crate) async fn logs(context: &Context, args: &Logs) -> Result<Report> {
    let chain = context.chain().await?;
    let remote = Remote::open(context, &chain, args.lease, Need::Read).await?;
    let labels = args.service.is_none() && several(&remote).await;
    let mut query = LogQuery {
        service: args.service.clone(),
        follow: args.follow,
        tail: args.tail,
        since: args.since.map(|since| unix_now().saturating_sub(since.as_secs())),
    };
    let mut writer = Writer::new(context.output, args.follow);
    let (mut shown, mut again) = (Shown::default(), false);
    let mut silent_since = Instant::now();
    loop {
        let broken = match remote.client.logs(remote.lease, &query).await {
            Err(error) => error,
            Ok(mut lines) => loop {
                match lines.next().await {
                    Some(Ok(line)) => {
                        silent_since = Instant::now();
                        // Replicas' clocks may differ, so only what a second stream repeats is left out.
                        if shown.is_new(&line) || !again {
                            writer.item(&line, &text(&line, labels))?;
                        }
                    }
                    Some(Err(error)) => break error,
                    None => {
                        writer.end()?;
                        return Ok(Report::streamed(0));
                    }
                }
            },
        };
        give_up(context.output, args.follow, silent_since, broken, "the log cannot be read", again)?;
        again = true;
        if shown.at_ms > 0 {
            query.since = Some(shown.at_ms / 1_000);
            query.tail = None;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// A broken stream is an error, unless it is followed and may come back.
fn give_up(
    output: Output,
    follow: bool,
    silent_since: Instant,
    error: ClientError,
    doing: &str,
    again: bool,
) -> Result<()> {
    if follow && error.is_transient() && silent_since.elapsed() < PATIENCE {
        if !again {
            output.note("the provider is gone for the moment; waiting for it");
        }
        return Ok(());
    }
    Err(remote::failure(doing, error))
}

/// Whether lines need to say whose they are.
async fn several(remote: &Remote) -> bool {
    let Ok(status) = remote.client.status(remote.lease).await else { return true };
    status.services.iter().map(|service| service.desired).sum::<u32>() > 1
}

fn text(line: &LogLine, label: bool) -> String {
    // A workload's output goes to the tenant's terminal as it is, colours included, as other log tools do it.
    if label { format!("{}/{} | {}", line.service, line.replica, line.text) } else { line.text.clone() }
}

pub(crate) async fn events(context: &Context, args: &Events) -> Result<Report> {
    let chain = context.chain().await?;
    let remote = Remote::open(context, &chain, args.lease, Need::Read).await?;
    let mut query = EventQuery { follow: args.follow, after: None };
    let mut writer = Writer::new(context.output, args.follow);
    let (mut silent_since, mut again) = (Instant::now(), false);
    if !args.follow {
        let mut events =
            remote.client.events(remote.lease, &query).await.or_remote("the events cannot be read")?;
        while let Some(event) = events.next().await {
            let event = event.or_remote("the events cannot be read")?;
            writer.item(&event, &event_text(&event))?;
        }
        writer.end()?;
        return Ok(Report::streamed(0));
    }
    loop {
        let broken = match remote.client.events(remote.lease, &query).await {
            Err(error) => error,
            Ok(mut events) => loop {
                match events.next().await {
                    Some(Ok(event)) => {
                        silent_since = Instant::now();
                        query.after = Some(event.sequence);
                        writer.item(&event, &event_text(&event))?;
                    }
                    Some(Err(error)) => break error,
                    None => return Ok(Report::streamed(0)),
                }
            },
        };
        give_up(context.output, true, silent_since, broken, "the events cannot be read", again)?;
        again = true;
        tokio::time::sleep(AGAIN).await;
    }
}

fn event_text(event: &iono_lease_api::LeaseEvent) -> String {
    let place = match (&event.service, event.replica) {
        (Some(service), Some(replica)) => format!("{service}/{replica}"),
        (Some(service), None) => service.clone(),
        _ => "lease".to_owned(),
    };
    format!("{}  {place}  {}  {}", time::stamp(event.at_ms), event.kind, event.message)
}

#[cfg(test)]
mod tests {
    use iono_lease_api::OutputKind;

    use super::*;

    fn line(at_ms: u64, text: &str) -> LogLine {
        LogLine { at_ms, service: "web".into(), replica: 0, output: OutputKind::Stdout, text: text.into() }
    }

    #[test]
    fn a_second_stream_repeats_nothing() {
        let mut shown = Shown::default();
        assert!(shown.is_new(&line(5, "a")));
        assert!(shown.is_new(&line(5, "b")));
        assert!(!shown.is_new(&line(5, "a")));
        assert!(shown.is_new(&line(6, "a")));
        assert!(!shown.is_new(&line(5, "b")));
    }

    #[test]
    fn lines_say_whose_they_are_when_there_are_several() {
        assert_eq!(text(&line(1, "hi"), true), "web/0 | hi");
        assert_eq!(text(&line(1, "hi"), false), "hi");
    }
}
