//! A command in a replica and its frames on the WebSocket. Binary frames carry bytes after one channel byte (0 standard
//! input, 1 standard output, 2 standard error); text frames carry JSON: see [`ClientControl`] and [`ServerControl`].

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::ErrorBody;

/// Channel byte of standard input.
pub const STDIN: u8 = 0;
/// Channel byte of standard output; with a terminal, of everything.
pub const STDOUT: u8 = 1;
/// Channel byte of standard error.
pub const STDERR: u8 = 2;
/// Largest WebSocket message in bytes, both ways.
pub const MAX_MESSAGE: usize = 256 * 1024;
/// Most words of a command.
pub const MAX_WORDS: usize = 256;

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TtySize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

impl Default for TtySize {
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

/// What to run where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellRequest {
    /// The service.
    pub service: String,
    /// Its replica; the first ready one when `None`.
    pub replica: Option<u32>,
    /// Program and arguments, at least one word and at most [`MAX_WORDS`].
    pub command: Vec<String>,
    /// A terminal of this size; `None` keeps standard output and error apart.
    pub tty: Option<TtySize>,
}

/// To a running command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellInput {
    /// Bytes for its standard input.
    Stdin(Bytes),
    /// End of its standard input; output goes on.
    Eof,
    /// The terminal has another size now.
    Resize(TtySize),
}

/// From a running command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellOutput {
    /// Bytes that it wrote to standard output or its terminal.
    Stdout(Bytes),
    /// Bytes that it wrote to standard error.
    Stderr(Bytes),
    /// It ended with this code; always the last item.
    Exit(i64),
}

/// A running command, in the provider and in the client alike. Dropping it ends the command.
pub struct ShellSession<E> {
    /// Towards the command. Dropping the sender is not an end of input.
    pub input: mpsc::Sender<ShellInput>,
    /// From the command.
    pub output: BoxStream<'static, Result<ShellOutput, E>>,
}

/// Text frames from the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum ClientControl {
    /// `{"type":"resize","rows":24,"columns":80}`
    Resize {
        /// Lines.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// `{"type":"eof"}`: end of standard input.
    Eof,
}

/// Text frames from the server; after one of them it closes the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerControl {
    /// `{"type":"exit","code":7}`, then close code 1000.
    Exit {
        /// Exit code; 128 + signal when killed.
        code: i64,
    },
    /// `{"type":"error","code":…,"message":…,"hint":…}`, then close code 1008 when the right ended, 1012 when the
    /// provider restarts, else 1011.
    Error(ErrorBody),
}

/// A binary frame: channel byte, then bytes.
#[must_use]
pub fn frame(channel: u8, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(bytes.len() + 1);
    frame.put_u8(channel);
    frame.extend_from_slice(bytes);
    frame.freeze()
}

impl ShellInput {
    /// Reads a client's binary frame.
    ///
    /// # Errors
    /// In words, when it is empty or its channel is not 0.
    pub fn from_binary(frame: Bytes) -> Result<Self, String> {
        match frame.first() {
            Some(&STDIN) => Ok(Self::Stdin(frame.slice(1..))),
            Some(channel) => Err(format!("channel {channel} is not one a client sends; 0 is standard input")),
            None => Err("an empty binary frame has no channel byte".to_owned()),
        }
    }

    /// Reads a client's text frame.
    ///
    /// # Errors
    /// In words, when it is no [`ClientControl`].
    pub fn from_text(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(ClientControl::Resize { rows, columns }) => Ok(Self::Resize(TtySize { rows, columns })),
            Ok(ClientControl::Eof) => Ok(Self::Eof),
            Err(error) => Err(format!(
                "a text frame is neither eof nor resize ({error}); input goes in binary frames after a byte 0"
            )),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_documented_ones() {
        assert_eq!(frame(STDOUT, b"hi"), Bytes::from_static(b"\x01hi"));
        assert_eq!(
            ShellInput::from_binary(Bytes::from_static(b"\0ls\n")).unwrap(),
            ShellInput::Stdin(Bytes::from_static(b"ls\n"))
        );
        assert_eq!(ShellInput::from_text(r#"{"type":"eof"}"#).unwrap(), ShellInput::Eof);
        assert_eq!(
            ShellInput::from_text(r#"{"type":"resize","rows":50,"columns":132}"#).unwrap(),
            ShellInput::Resize(TtySize { rows: 50, columns: 132 })
        );
        assert_eq!(
            serde_json::to_string(&ServerControl::Exit { code: 7 }).unwrap(),
            r#"{"type":"exit","code":7}"#
        );
        let error = ErrorBody { code: "lease_closed".into(), message: "m".into(), hint: "h".into() };
        assert_eq!(
            serde_json::to_string(&ServerControl::Error(error)).unwrap(),
            r#"{"type":"error","code":"lease_closed","message":"m","hint":"h"}"#
        );
    }

    #[test]
    fn other_frames_are_refused_in_words() {
        assert!(ShellInput::from_binary(Bytes::new()).is_err());
        assert!(ShellInput::from_binary(Bytes::from_static(b"\x01x")).unwrap_err().contains("channel 1"));
        assert!(ShellInput::from_text("ls").unwrap_err().contains("binary"));
        assert!(ShellInput::from_text(r#"{"type":"resize","rows":-1,"columns":1}"#).is_err());
    }
}
