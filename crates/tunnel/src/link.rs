//! One TLS connection between client and gateway, with whole frames read and written. Streams' bytes do not pass here:
//! see `relay.rs`.

use std::net::SocketAddr;
use std::pin::Pin as Pinned;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use iono_identity::Pin;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsStream;
use tokio_util::io::poll_read_buf;

use crate::path::Congestion;
use crate::read_ahead::ReadAhead;
use crate::wire::{Header, Kind, Message, Reason, WireError};
use crate::{TunnelError, socket};

/// A frame that was begun must be whole, and a written one gone, after this.
const FRAME_TIME: Duration = Duration::from_secs(10);

/// What was read and is not used yet, and the frames in it.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) held: BytesMut,
    /// When the frame that `held` begins with was begun.
    begun: Option<Instant>,
}

impl Frames {
    /// The next frame, of at most `limit` bytes; waits for its beginning without end. May be cancelled.
    pub(crate) async fn next<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        limit: usize,
    ) -> Result<(Kind, Bytes), TunnelError> {
        loop {
            if let Some(found) = self.take(limit)? {
                return Ok(found);
            }
            let read = from.read_buf(&mut self.held);
            let count = match self.begun {
                Some(begun) => {
                    timeout_at(begun + FRAME_TIME, read).await.map_err(|_| TunnelError::Slow)??
                }
                None => read.await?,
            };
            if count == 0 {
                return Err(TunnelError::Closed);
            }
            self.begun.get_or_insert_with(Instant::now);
        }
    }

    fn take(&mut self, limit: usize) -> Result<Option<(Kind, Bytes)>, TunnelError> {
        let Some(&header) = self.held.first_chunk::<{ Header::SIZE }>() else { return Ok(None) };
        let Header { kind, length } = Header::decode(header)?;
        let length = usize::from(length);
        if length > limit {
            return Err(WireError::Malformed(kind).into());
        }
        if self.held.len() < Header::SIZE + length {
            return Ok(None);
        }
        self.held.advance(Header::SIZE);
        let payload = Bytes::copy_from_slice(&self.held[..length]);
        self.held.advance(length);
        self.begun = (!self.held.is_empty()).then(Instant::now);
        self.release();
        Ok(Some((kind, payload)))
    }

    /// Takes out what the peer said too late of a stream that is over.
    pub(crate) fn overhear(&mut self) {
        let late = Reason::Gone.frame();
        if self.held.starts_with(&late) {
            self.held.advance(late.len());
        }
        self.release();
    }

    /// Gives the buffer back when nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.held.is_empty() {
            *self = Self::default();
        }
    }
}

/// An established connection.
pub(crate) struct Link {
    pub(crate) tls: TlsStream<ReadAhead>,
    pub(crate) frames: Frames,
    pub(crate) congestion: Congestion,
    pin: Pin,
}

impl Link {
    /// Takes over a connection whose handshake is done.
    pub(crate) fn new(tls: TlsStream<ReadAhead>) -> Result<Self, TunnelError> {
        let pin = tls
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| Pin::of_certificate(chain.first()?))
            .ok_or(TunnelError::NoKey)?;
        Ok(Self { tls, frames: Frames::default(), congestion: Congestion::default(), pin })
    }

    /// The key that the peer proved to hold.
    pub(crate) fn pin(&self) -> Pin {
        self.pin
    }

    /// Where the peer is, as seen from here.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.tls.get_ref().0.tcp().peer_addr().ok()
    }

    /// Where this end is.
    pub(crate) fn own_address(&self) -> Option<SocketAddr> {
        self.tls.get_ref().0.tcp().local_addr().ok()
    }

    /// The next frame, of at most `limit` bytes; waits for its beginning without end. May be cancelled.
    pub(crate) async fn frame(&mut self, limit: usize) -> Result<(Kind, Bytes), TunnelError> {
        self.frames.next(&mut self.tls, limit).await
    }

    /// The next message of the control protocol, of at most `limit` bytes. May be cancelled.
    pub(crate) async fn message(&mut self, limit: usize) -> Result<Message, TunnelError> {
        let (kind, payload) = self.frame(limit).await?;
        Ok(Message::decode(kind, &payload)?)
    }

    /// Writes whole frames.
    pub(crate) async fn write(&mut self, frames: &[u8]) -> Result<(), TunnelError> {
        let write = async {
            self.tls.write_all(frames).await?;
            self.tls.flush().await
        };
        Ok(timeout(FRAME_TIME, write).await.map_err(|_| TunnelError::Slow)??)
    }

    /// Writes a message of the control protocol.
    pub(crate) async fn say(&mut self, message: &Message) -> Result<(), TunnelError> {
        self.write(&message.frame().ok_or(TunnelError::MessageTooLong)?).await
    }

    /// Ends the connection in order, as far as the peer goes along.
    pub(crate) async fn close(mut self) {
        // A peer that does not read has no claim to a proper end.
        let _ = timeout(Duration::from_secs(1), self.tls.shutdown()).await;
    }

    /// Whether an idle data connection can carry a stream: the peer has neither ended it nor said anything but what it had
    /// to say of the last one.
    pub(crate) fn is_fresh(&mut self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut read =
            |frames: &mut Frames| poll_read_buf(Pinned::new(&mut self.tls), &mut context, &mut frames.held);
        let mut last = read(&mut self.frames);
        self.frames.overhear();
        if matches!(last, Poll::Ready(Ok(1..))) && self.frames.held.is_empty() {
            last = read(&mut self.frames);
        }
        let fresh = last.is_pending() && self.frames.held.is_empty();
        self.frames.release();
        fresh
    }

    /// Whether what was sent last is still under way since longer than it should be.
    pub(crate) fn is_stuck(&self) -> bool {
        socket::is_stuck(self.tls.get_ref().0.tcp())
    }
}
