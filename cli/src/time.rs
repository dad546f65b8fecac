//! Lengths of time for people.

/// Seconds as the two largest units: `3d 4h`, `5m 20s`.
pub(crate) fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (name, size) in units {
        let count = left / size;
        if count > 0 {
            parts.push(format!("{count}{name}"));
            left %= size;
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// Milliseconds since 1970 as `2026-11-21T03:27:32Z`.
pub(crate) fn stamp(at_ms: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at_ms);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m 1s"),
            (3_600, "1h"),
            (3_605, "1h"),
            (90_061, "1d 1h"),
            (86_400, "1d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn stamps_are_utc() {
        assert_eq!(stamp(1_000), "1970-01-01T00:00:01Z");
    }
}
