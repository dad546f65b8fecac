//! What a pricing script printed: one JSON document with a price or a refusal. It is the owner's word, and may be garbage.

use alloy::primitives::U256;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::values::Dollars;

/// Most characters of a script's own words that are kept: they go into records and to whoever asks why there is no bid.
const WORDS: usize = 200;
/// Digits that a price has after its point.
const DIGITS: usize = 18;
/// Most characters of a price, with room for digits that are rounded away.
const LONGEST: usize = 100;

/// An answer that can be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Dollars an hour.
    Hourly(Dollars),
    /// No, and why.
    Decline(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    hourly: Option<Box<RawValue>>,
    decline: Option<String>,
}

/// Reads what was printed; the error says what is wrong with it.
pub(super) fn read(printed: &[u8]) -> Result<Answer, String> {
    if printed.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty".to_owned());
    }
    let document: Document = serde_json::from_slice(printed).map_err(|error| words(&error.to_string()))?;
    match (document.hourly, document.decline) {
        (Some(price), None) => dollars(price.get()).map(Answer::Hourly),
        (None, Some(why)) => Ok(Answer::Decline(words(&why))),
        (Some(_), Some(_)) => Err("it both names a price and declines".to_owned()),
        (None, None) => Err("it neither names a price nor declines".to_owned()),
    }
}

/// The last line with something in it.
pub(super) fn last_line(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    text.lines().map(words).rfind(|line| !line.is_empty()).unwrap_or_default()
}

/// A script's words as they may stand in a line of ours.
fn words(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.trim();
    match plain.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain.to_owned(),
    }
}

/// A number, or a string with one. It is read from its text, since a float may be less than what was written.
fn dollars(price: &str) -> Result<Dollars, String> {
    let text = match serde_json::from_str::<String>(price) {
        Ok(text) => text,
        Err(_) if !price.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            return Err(format!("`hourly` is {}, and no number", words(price)));
        }
        // Only with an exponent is it another text than that of a decimal.
        Err(_) => match price.parse::<f64>() {
            Ok(float) if price.contains(['e', 'E']) => float.to_string(),
            _ => price.to_owned(),
        },
    };
    if text.starts_with('-') {
        return Err(format!("the price {} is below zero", words(&text)));
    }
    if text.len() > LONGEST {
        return Err(format!("`{}` is too large or has too many digits", words(&text)));
    }
    rounded_up(&text).map_err(|error| words(&error))
}

/// Reads a decimal; what is beyond its last digit counts as one more, as programs that reckon in floats print such.
fn rounded_up(text: &str) -> Result<Dollars, String> {
    let end = text.find('.').map_or(text.len(), |point| (point + 1 + DIGITS).min(text.len()));
    let (kept, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let kept: Dollars = kept.parse()?;
    if !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(format!("`{text}` is not a decimal amount such as 12 or 0.05"));
    }
    let more = U256::from(u8::from(rest.bytes().any(|digit| digit != b'0')));
    Ok(Dollars(kept.0 + more))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(text: &str) -> String {
        match read(text.as_bytes()) {
            Ok(Answer::Hourly(price)) => price.to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_price_is_a_number_or_its_text() {
        assert_eq!(price(r#"{"hourly": "0.42"}"#), "0.42");
        assert_eq!(price("\n{\"hourly\":0.42}\n"), "0.42");
        assert_eq!(price(r#"{"hourly": 3}"#), "3");
        assert_eq!(price(r#"{"hourly": 0.123456789012345678}"#), "0.123456789012345678");
        assert_eq!(price(r#"{"hourly": 1e-7}"#), "0.0000001");
        assert_eq!(price(r#"{"hourly": 0.00030000000000000003}"#), "0.000300000000000001");
        assert_eq!(price(r#"{"hourly": "0.1000000000000000000"}"#), "0.1");
        assert_eq!(
            read(br#"{"decline": "not on\nSundays"}"#),
            Ok(Answer::Decline("not on Sundays".to_owned()))
        );
    }

    #[test]
    fn garbage_is_named() {
        for (printed, why) in [
            ("", "empty"),
            ("0.42", "invalid type"),
            ("hello", "expected value"),
            ("{\"hourly\": 1} {\"hourly\": 2}", "trailing characters"),
            ("{\"hourly\": NaN}", "expected value"),
            ("{\"hourly\": 1e999}", ""),
            ("{\"hourly\": -1}", "below zero"),
            ("{\"hourly\": \"-0.5\"}", "below zero"),
            ("{\"hourly\": 1e300}", "too large"),
            ("{\"hourly\": \"1e400000\"}", "not a decimal"),
            ("{\"hourly\": \"999999999999999999999999\"}", "too large"),
            ("{\"hourly\": \"0.1234567890123456789x\"}", "not a decimal"),
            ("{\"hourly\": true}", "no number"),
            ("{\"hourly\": [1]}", "no number"),
            ("{\"price\": 1}", "unknown field `price`"),
            ("{}", "neither"),
            ("{\"hourly\": 1, \"decline\": \"no\"}", "both"),
        ] {
            let error = read(printed.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{printed}: {error}");
        }
    }

    #[test]
    fn the_last_line_is_kept_short_and_plain() {
        assert_eq!(last_line(b"Traceback\n  File\nKeyError: 'gpu'\n\n"), "KeyError: 'gpu'");
        assert_eq!(last_line(b"\x1b[31mred\x1b[0m"), "[31mred [0m");
        assert_eq!(last_line(b""), "");
        assert_eq!(last_line("ä".repeat(1_000).as_bytes()).chars().count(), WORDS + 1);
    }

    proptest! {
        #[test]
        fn whatever_is_printed_never_panics(printed: Vec<u8>, text: String) {
            let _ = (read(&printed), last_line(&printed));
            let _ = read(serde_json::json!({ "hourly": text }).to_string().as_bytes());
        }

        #[test]
        fn a_float_is_never_rounded_down(float in 0.0f64..1e15) {
            let read = price(&serde_json::json!({ "hourly": float }).to_string());
            prop_assert!(read.parse::<f64>().unwrap() >= float);
        }
    }
}
