//! SPDY/3.1, as much of it as commands in pods need: streams that the client opens, data, half-close. Every API server
//! speaks it for commands; the WebSocket form that can end its input came with Kubernetes 1.30.
//!
//! Frames: a control frame is `1 | version (15) | type (16) | flags (8) | length (24)`, a data frame
//! `0 | stream (31) | flags (8) | length (24)`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress};
use tokio::io::{AsyncRead, AsyncReadExt};

const CONTROL: u16 = 0x8003;
const SYN_STREAM: u16 = 1;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
/// The sender's side of the stream ends with this frame.
const FIN: u8 = 1;
/// Most bytes in a frame that we send.
pub(crate) const CHUNK: usize = 32 * 1024;
/// Most bytes in a frame that we take.
const LONGEST: usize = 1 << 24;

/// What the other side said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Bytes of a stream; whether they are its last.
    Data { stream: u32, bytes: Bytes, fin: bool },
    /// The stream is over.
    Reset { stream: u32 },
    /// To be sent back as it is.
    Ping(Bytes),
    /// No new streams.
    GoAway,
    /// What nobody here needs: settings, replies, headers.
    Other,
}

/// Makes frames; header blocks of one connection are one compressed text.
pub(crate) struct Encoder {
    compress: Compress,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { compress: Compress::new(Compression::fast(), true) }
    }

    /// Opens a stream. The dictionary that the protocol has for headers is optional to the one who compresses.
    pub(crate) fn open(&mut self, stream: u32, headers: &[(&str, &str)]) -> std::io::Result<Bytes> {
        let mut plain = BytesMut::new();
        plain.put_u32(u32::try_from(headers.len()).unwrap_or(0));
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(u32::try_from(text.len()).unwrap_or(0));
            plain.put_slice(text.as_bytes());
        }
        let mut block = Vec::with_capacity(plain.len() + 64);
        self.compress.compress_vec(&plain, &mut block, FlushCompress::Sync).map_err(std::io::Error::other)?;
        let mut body = BytesMut::new();
        body.put_u32(stream);
        body.put_u32(0);
        body.put_u16(0);
        body.put_slice(&block);
        Ok(control(SYN_STREAM, &body))
    }
}

fn control(kind: u16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + body.len());
    frame.put_u16(CONTROL);
    frame.put_u16(kind);
    frame.put_u32(u32::try_from(body.len()).unwrap_or(0));
    frame.put_slice(body);
    frame.freeze()
}

/// The answer to a ping.
pub(crate) fn pong(id: &[u8]) -> Bytes {
    control(PING, id)
}

/// Bytes for a stream, at most [`CHUNK`] of them; `fin` ends our side of it.
pub(crate) fn data(stream: u32, bytes: &[u8], fin: bool) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + bytes.len());
    frame.put_u32(stream);
    frame.put_u32(u32::try_from(bytes.len()).unwrap_or(0) | u32::from(if fin { FIN } else { 0 }) << 24);
    frame.put_slice(bytes);
    frame.freeze()
}

/// The next frame; `None` at the end of the connection.
pub(crate) async fn read(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Frame>> {
    let mut head = [0; 8];
    match reader.read_exact(&mut head).await {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let mut head = &head[..];
    let (first, second) = (head.get_u32(), head.get_u32());
    let length = usize::try_from(second & 0x00ff_ffff).unwrap_or(LONGEST);
    let fin = (second >> 24) & u32::from(FIN) != 0;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    let mut body = Bytes::from(body);
    if first & 0x8000_0000 == 0 {
        return Ok(Some(Frame::Data { stream: first, bytes: body, fin }));
    }
    Ok(Some(match u16::try_from(first & 0xffff).unwrap_or(0) {
        RST_STREAM if body.len() >= 4 => Frame::Reset { stream: body.get_u32() & 0x7fff_ffff },
        PING => Frame::Ping(body),
        GOAWAY => Frame::GoAway,
        _ => Frame::Other,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_goes_and_comes() {
        let bytes = [data(5, b"hello", false), data(7, b"", true), pong(&[0, 0, 0, 9])].concat();
        let mut reader = &bytes[..];
        let mut next = async || read(&mut reader).await.unwrap();
        assert_eq!(next().await, Some(Frame::Data { stream: 5, bytes: "hello".into(), fin: false }));
        assert_eq!(next().await, Some(Frame::Data { stream: 7, bytes: "".into(), fin: true }));
        assert_eq!(next().await, Some(Frame::Ping(Bytes::from_static(&[0, 0, 0, 9]))));
        assert_eq!(next().await, None);
    }

    #[tokio::test]
    async fn a_connection_cut_in_a_frame_is_an_error() {
        let bytes = data(5, b"hello", false);
        assert!(read(&mut &bytes[..10]).await.is_err());
    }

    #[test]
    fn header_blocks_are_one_compressed_text() {
        let mut encoder = Encoder::new();
        let mut inflate = flate2::Decompress::new(true);
        for (stream, kind) in [(1, "error"), (3, "stdin")] {
            let frame = encoder.open(stream, &[("streamtype", kind)]).unwrap();
            assert_eq!(&frame[..4], &[0x80, 3, 0, 1]);
            let mut plain = Vec::with_capacity(1_000);
            inflate.decompress_vec(&frame[18..], &mut plain, flate2::FlushDecompress::Sync).unwrap();
            let length = u32::try_from(kind.len()).unwrap().to_be_bytes();
            let expected =
                [&[0, 0, 0, 1, 0, 0, 0, 10], &b"streamtype"[..], &length, kind.as_bytes()].concat();
            assert_eq!(plain, expected);
        }
    }
}
