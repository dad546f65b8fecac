//! Reads query strings: repeated keys are lists, unknown ones are errors, and every error names its parameter.

use std::str::FromStr;

use url::form_urlencoded;

use crate::shell::MAX_WORDS;
use crate::{ApiError, EventQuery, FilePath, LogQuery, ShellRequest, TtySize};

/// Longest query string in bytes; a command may be long.
const MAX_QUERY: usize = 32 * 1024;
/// Most lines that `tail` may ask for.
const MAX_TAIL: u32 = 100_000;
/// Longest path of a file in bytes.
const MAX_PATH: usize = 4_096;
/// Longest name of a service.
const MAX_NAME: usize = 63;

/// The parameters that nobody has taken yet.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: Option<&str>) -> Result<Self, ApiError> {
        let query = query.unwrap_or_default();
        if query.len() > MAX_QUERY {
            return Err(ApiError::bad_request(format!("the query is longer than {MAX_QUERY} bytes")));
        }
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }

    fn take_all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    fn take(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut values = self.take_all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(ApiError::bad_request(format!("`{name}` is given twice"))),
        }
    }

    fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let bad = |text: &str| {
            ApiError::bad_request(format!("`{name}` is no number in its range: `{}`", cut(text)))
        };
        self.take(name)?.map(|text| text.parse().map_err(|_| bad(&text))).transpose()
    }

    fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.take(name)?.as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true" | "") => Ok(true),
            Some(other) => {
                Err(ApiError::bad_request(format!("`{name}` is neither 0 nor 1: `{}`", cut(other))))
            }
        }
    }

    fn service(&mut self) -> Result<Option<String>, ApiError> {
        let name = self.take("service")?;
        if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_NAME) {
            return Err(ApiError::bad_request(format!("`service` is a name of 1 to {MAX_NAME} bytes")));
        }
        Ok(name)
    }

    fn required_service(&mut self) -> Result<String, ApiError> {
        self.service()?.ok_or_else(|| ApiError::bad_request("`service` is missing"))
    }

    fn end(self) -> Result<(), ApiError> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(ApiError::bad_request(format!("unknown parameter `{}`", cut(key)))),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// `?service&follow&tail&since`
pub(crate) fn logs(query: Option<&str>) -> Result<LogQuery, ApiError> {
    let mut query = Query::parse(query)?;
    let logs = LogQuery {
        service: query.service()?,
        follow: query.flag("follow")?,
        tail: query.number("tail")?,
        since: query.number("since")?,
    };
    if logs.tail.is_some_and(|tail| tail > MAX_TAIL) {
        return Err(ApiError::bad_request(format!("`tail` is at most {MAX_TAIL}")));
    }
    query.end()?;
    Ok(logs)
}

/// `?follow&after`
pub(crate) fn events(query: Option<&str>) -> Result<EventQuery, ApiError> {
    let mut query = Query::parse(query)?;
    let events = EventQuery { follow: query.flag("follow")?, after: query.number("after")? };
    query.end()?;
    Ok(events)
}

/// `?service&replica&path`
pub(crate) fn file(query: Option<&str>) -> Result<FilePath, ApiError> {
    let mut query = Query::parse(query)?;
    let service = query.required_service()?;
    let replica = query.number("replica")?;
    let path = query.take("path")?.ok_or_else(|| ApiError::bad_request("`path` is missing"))?;
    query.end()?;
    let parts_up = path.split('/').any(|part| part == "..");
    if !path.starts_with('/') || path.len() > MAX_PATH || path.contains('\0') || parts_up {
        let message = format!("`path` is an absolute path of at most {MAX_PATH} bytes without `..`");
        return Err(ApiError::bad_request(message));
    }
    Ok(FilePath { service, replica, path })
}

/// `?service&replica&tty&rows&columns&cmd&cmd…`
pub(crate) fn shell(query: Option<&str>) -> Result<ShellRequest, ApiError> {
    let mut query = Query::parse(query)?;
    let service = query.required_service()?;
    let replica = query.number("replica")?;
    let tty = query.flag("tty")?;
    let size = TtySize::default();
    let size = TtySize {
        rows: query.number("rows")?.unwrap_or(size.rows),
        columns: query.number("columns")?.unwrap_or(size.columns),
    };
    let command = query.take_all("cmd");
    query.end()?;
    if command.first().is_none_or(String::is_empty) || command.len() > MAX_WORDS {
        let message =
            format!("`cmd` is missing: give it once per word of the command, at most {MAX_WORDS} times");
        return Err(ApiError::bad_request(message));
    }
    if command.iter().any(|word| word.contains('\0')) {
        return Err(ApiError::bad_request("`cmd` contains a zero byte"));
    }
    Ok(ShellRequest { service, replica, command, tty: tty.then_some(size) })
}

/// Writes what [`logs`] reads.
pub(crate) fn write_logs(query: &LogQuery) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    optional(&mut out, "service", query.service.as_ref());
    optional(&mut out, "tail", query.tail);
    optional(&mut out, "since", query.since);
    optional(&mut out, "follow", query.follow.then_some(1));
    out.finish()
}

/// Writes what [`events`] reads.
pub(crate) fn write_events(query: &EventQuery) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    optional(&mut out, "after", query.after);
    optional(&mut out, "follow", query.follow.then_some(1));
    out.finish()
}

/// Writes what [`file`] reads.
pub(crate) fn write_file(file: &FilePath) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    out.append_pair("service", &file.service).append_pair("path", &file.path);
    optional(&mut out, "replica", file.replica);
    out.finish()
}

/// Writes what [`shell`] reads.
pub(crate) fn write_shell(request: &ShellRequest) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    out.append_pair("service", &request.service);
    optional(&mut out, "replica", request.replica);
    if let Some(size) = request.tty {
        out.append_pair("tty", "1");
        optional(&mut out, "rows", Some(size.rows));
        optional(&mut out, "columns", Some(size.columns));
    }
    for word in &request.command {
        out.append_pair("cmd", word);
    }
    out.finish()
}

fn optional<T: ToString>(out: &mut form_urlencoded::Serializer<'_, String>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        out.append_pair(name, &value.to_string());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_writes_the_server_reads() {
        let wanted = LogQuery { service: Some("web".into()), follow: true, tail: Some(5), since: Some(9) };
        assert_eq!(logs(Some(&write_logs(&wanted))).unwrap(), wanted);
        assert_eq!(logs(None).unwrap(), LogQuery::default());
        let wanted = EventQuery { follow: true, after: Some(3) };
        assert_eq!(events(Some(&write_events(&wanted))).unwrap(), wanted);
        let wanted = FilePath { service: "web".into(), replica: Some(1), path: "/a b/ü".into() };
        assert_eq!(file(Some(&write_file(&wanted))).unwrap(), wanted);
        let wanted = ShellRequest {
            service: "web".into(),
            replica: None,
            command: vec!["sh".into(), "-c".into(), "echo \"a&b=c\"; exit 7".into()],
            tty: Some(TtySize { rows: 50, columns: 132 }),
        };
        assert_eq!(shell(Some(&write_shell(&wanted))).unwrap(), wanted);
    }

    #[test]
    fn errors_name_the_parameter() {
        let text = |result: Result<LogQuery, ApiError>| result.unwrap_err().body.message;
        assert!(text(logs(Some("tail=x"))).contains("`tail`"));
        assert!(text(logs(Some("tail=100001"))).contains("100000"));
        assert!(text(logs(Some("tail=1&tail=2"))).contains("twice"));
        assert!(text(logs(Some("lines=1"))).contains("`lines`"));
        assert!(text(logs(Some("follow=maybe"))).contains("`follow`"));
        assert!(shell(Some("service=web")).unwrap_err().body.message.contains("`cmd`"));
        assert!(shell(Some("cmd=sh")).unwrap_err().body.message.contains("`service`"));
        for path in ["", "etc", "/a/../b", "/a%00b"] {
            assert!(file(Some(&format!("service=web&path={path}"))).is_err(), "{path}");
        }
        let long = format!("service=web&cmd={}", "x".repeat(MAX_QUERY));
        assert!(shell(Some(&long)).is_err());
    }
}
