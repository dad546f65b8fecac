//! A TCP stream that is read in large pieces: rustls asks for 4 KiB at a time, which is sixteen system calls where one
//! does. The buffer exists only while it holds something, so that an idle connection costs none.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

/// Read at a time.
const CHUNK: usize = 64 * 1024;

/// See the file's first lines.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    inner: TcpStream,
    held: BytesMut,
}

impl ReadAhead {
    pub(crate) fn new(inner: TcpStream) -> Self {
        Self { inner, held: BytesMut::new() }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.inner
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.held.is_empty() {
            // Nothing to read yet is the common case, and not worth an allocation.
            if ready!(this.inner.poll_read_ready(cx)).is_err() || buf.remaining() >= CHUNK {
                return Pin::new(&mut this.inner).poll_read(cx, buf);
            }
            this.held.reserve(CHUNK);
            match poll_read_buf(Pin::new(&mut this.inner), cx, &mut this.held) {
                Poll::Ready(Ok(_)) => {}
                other => {
                    this.held = BytesMut::new();
                    return other.map_ok(|_| ());
                }
            }
        }
        let count = this.held.len().min(buf.remaining());
        buf.put_slice(&this.held[..count]);
        this.held.advance(count);
        if this.held.is_empty() {
            this.held = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
