//! Log lines: those that the engine keeps of each container (bounded by size there), and the last ones of containers
//! that were replaced, kept in a file per service below the data directory, bounded in size and age.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures::stream::{self, StreamExt, TryStreamExt};
use iono_primitives::LeaseId;
use iono_runtime::{KEPT_LINES, LogLine, LogOptions, LogStream, OutputKind, RuntimeError, now};

use crate::engine::sort;
use crate::inner::Inner;
use crate::labels::Container;

impl Inner {
    /// See [`iono_runtime::Runtime::logs`].
    pub(crate) async fn logs(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        options: LogOptions,
    ) -> Result<LogStream, RuntimeError> {
        let containers = self.select(lease, service, None).await?;
        let mut services: Vec<&str> = containers.iter().map(|container| container.service.as_str()).collect();
        services.dedup();
        let kept = self.kept.read(lease, services, &options);
        let live: Vec<_> = containers
            .into_iter()
            .map(|container| self.lines(container, &options))
            .collect::<Result<Vec<_>, _>>()?;
        let live = if options.follow {
            stream::select_all(live).boxed()
        } else {
            stream::iter(live).flatten().boxed()
        };
        Ok(stream::iter(kept.into_iter().map(Ok)).chain(live).boxed())
    }

    fn lines(&self, container: Container, options: &LogOptions) -> Result<LogStream, RuntimeError> {
        let tail = options.tail.map_or("all".to_owned(), |tail| tail.to_string());
        let since = options.since.and_then(|since| i32::try_from(since).ok()).unwrap_or(0);
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(options.follow)
            .tail(&tail)
            .since(since)
            .build();
        let output = self.engine.docker()?.logs(&container.id, Some(options));
        Ok(output.map_err(sort).map_ok(move |output| line(&container, output)).boxed())
    }

    /// Keeps the last lines of a container that is about to be removed. Losing them must not stop an update.
    pub(crate) async fn keep_logs(&self, container: &Container) {
        if let Err(error) = self.try_keep_logs(container).await {
            tracing::warn!(lease = %container.lease, service = container.service, %error, "last log lines are lost");
        }
    }

    async fn try_keep_logs(&self, container: &Container) -> Result<(), RuntimeError> {
        let options = LogOptions { tail: Some(KEPT_LINES), ..Default::default() };
        let new: Vec<LogLine> = self.lines(container.clone(), &options)?.try_collect().await?;
        self.kept.add(container.lease, &container.service, new)
    }
}

fn line(container: &Container, output: LogOutput) -> LogLine {
    let kind =
        if matches!(output, LogOutput::StdErr { .. }) { OutputKind::Stderr } else { OutputKind::Stdout };
    let bytes = output.into_bytes();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let (time, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (at, text) = parse_time(time).map_or_else(|| (now(), text), |at| (at, rest));
    LogLine {
        at,
        service: container.service.clone(),
        replica: container.replica,
        kind,
        text: text.trim_end_matches('\r').to_owned(),
    }
}

/// The engine's RFC 3339 times in UTC, as milliseconds since 1970; 0 for years before.
pub(crate) fn parse_time(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let millis: u64 = format!("{:0<3}", fraction.get(..3).unwrap_or(fraction)).parse().ok()?;
    if !(1..=12).contains(&month) || year > 9_999 {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    // Days since 1970 in the proleptic Gregorian calendar, counting years from March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day).checked_sub(719_469)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + millis)
}

#[cfg(test)]
mod tests {
    use super::parse_time;
    use rstest::rstest;

    #[rstest]
    #[case("1970-01-01T00:00:00Z", Some(0))]
    #[case("2000-03-01T00:00:00.5Z", Some(951_868_800_500))]
    #[case("2024-02-29T23:59:59.123456789Z", Some(1_709_251_199_123))]
    #[case("0001-01-01T00:00:00Z", Some(0))]
    #[case("2024-13-01T00:00:00Z", None)]
    #[case("hello", None)]
    fn reads_times(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(parse_time(text), expected);
    }
}
