//! Copies one stream between a data connection and what is at this end of it: a visitor or a service. Flow control is
//! that of the two TCP connections: what the one does not take is not read from the other, and at most one buffer of
//! 64 KiB waits in each direction.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use crate::link::Link;
use crate::path::Path;
use crate::traffic::Traffic;
use crate::wire::{Header, Kind, Reason, WireError};
use crate::{Limits, TunnelError};

/// Read at a time while little comes, and once a read has filled it.
const SMALL: usize = 16 * 1024;
const LARGE: usize = 64 * 1024;
/// Once one side has broken a stream off, the other must go on to its end: a silence of this length ends the connection.
const FAREWELL: Duration = Duration::from_secs(10);

/// Under what a stream runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) traffic: &'a Traffic,
    pub(crate) path: &'a Path,
    pub(crate) limits: &'a Limits,
}

/// How a stream went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes that went from here into the tunnel.
    pub sent: u64,
    /// Bytes that came out of it.
    pub received: u64,
    /// How the half from here ended.
    pub ours: Reason,
    /// How the other end's half ended.
    pub theirs: Reason,
}

impl Outcome {
    /// Whether both halves were carried to their ends.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ours == Reason::Finished && self.theirs == Reason::Finished
    }
}

/// Runs a stream. `first` is a whole frame that goes before everything else, or nothing. The data connection is as good
/// as new after [`Ok`], but for a late [`Reason::Gone`], and must be dropped after [`Err`].
pub(crate) async fn run<L>(
    link: &mut Link,
    local: &mut L,
    first: &[u8],
    terms: Terms<'_>,
) -> Result<Outcome, TunnelError>
where
    L: AsyncRead + AsyncWrite + Unpin,
{
    link.congestion.begin(terms.path, link.tls.get_ref().0.tcp());
    let idle = terms.limits.idle;
    let mut relay = Relay::new(link, local, terms, idle);
    relay.out.extend_from_slice(first);
    poll_fn(|cx| relay.poll(cx)).await
}

/// Turns down the stream that the peer has just opened.
pub(crate) async fn refuse(link: &mut Link, reason: Reason, terms: Terms<'_>) -> Result<(), TunnelError> {
    let mut nobody = tokio::io::empty();
    let mut relay = Relay::new(link, &mut nobody, terms, FAREWELL);
    relay.break_off(reason);
    poll_fn(|cx| relay.poll(cx)).await.map(|_| ())
}

struct Relay<'a, L> {
    link: &'a mut Link,
    local: &'a mut L,
    terms: Terms<'a>,
    /// Whole frames that wait to be written to the link.
    out: BytesMut,
    /// Written to TLS but perhaps not to the socket.
    dirty: bool,
    /// Nothing has been read from `local` yet: its first bytes travel with the opening frame.
    fresh: bool,
    chunk_out: usize,
    chunk_in: usize,
    /// What is still to come of the present frame.
    left: usize,
    ours: Option<Reason>,
    theirs: Option<Reason>,
    /// `local` takes nothing any more.
    discard: bool,
    /// Bytes came that `local` did not take: their half is not whole, whatever they say.
    lost: bool,
    /// The end of their half was passed on.
    shut: bool,
    sent: u64,
    received: u64,
    moved: bool,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<'a, L: AsyncRead + AsyncWrite + Unpin> Relay<'a, L> {
    fn new(link: &'a mut Link, local: &'a mut L, terms: Terms<'a>, idle: Duration) -> Self {
        Self {
            link,
            local,
            terms,
            out: BytesMut::new(),
            dirty: false,
            fresh: true,
            chunk_out: SMALL,
            chunk_in: SMALL,
            left: 0,
            ours: None,
            theirs: None,
            discard: false,
            lost: false,
            shut: false,
            sent: 0,
            received: 0,
            moved: false,
            idle,
            timer: Box::pin(tokio::time::sleep(idle)),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome, TunnelError>> {
        // Both directions are driven each time; an end or a break of one may give the other something to do.
        loop {
            let before = (self.ours, self.theirs);
            let incoming = self.poll_in(cx)?;
            let outgoing = self.poll_out(cx)?;
            if let (Some(ours), Some(theirs), true, true) =
                (self.ours, self.theirs, incoming.is_ready(), outgoing.is_ready())
            {
                self.link.frames.overhear();
                let (sent, received) = (self.sent, self.received);
                return Poll::Ready(Ok(Outcome { sent, received, ours, theirs }));
            }
            if before != (self.ours, self.theirs) {
                continue;
            }
            ready!(self.timer.as_mut().poll(cx));
            self.tick()?;
        }
    }

    /// A period is over: has anything moved in it?
    fn tick(&mut self) -> Result<(), TunnelError> {
        if !std::mem::take(&mut self.moved) {
            if self.discard {
                return Err(TunnelError::Silent);
            }
            self.break_off(Reason::Idle);
        }
        let period = if self.discard { FAREWELL } else { self.idle };
        self.timer.as_mut().reset(tokio::time::Instant::now() + period);
        Ok(())
    }

    /// From `local` to the link; ready when our half has ended and is on its way.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        if std::mem::take(&mut self.fresh) && self.ours.is_none() {
            let _ = self.poll_local(cx);
        }
        loop {
            while !self.out.is_empty() {
                let count = ready!(Pin::new(&mut self.link.tls).poll_write(cx, &self.out))?;
                self.out.advance(count);
                let Link { tls, congestion, .. } = &mut *self.link;
                congestion.wrote(count, self.terms.path, tls.get_ref().0.tcp());
                self.dirty = true;
                self.moved = true;
            }
            if self.ours.is_none() && self.poll_local(cx).is_ready() {
                continue;
            }
            if self.dirty {
                ready!(Pin::new(&mut self.link.tls).poll_flush(cx))?;
                self.dirty = false;
            }
            if self.ours.is_some() {
                return Poll::Ready(Ok(()));
            }
            return Poll::Pending;
        }
    }

    /// Reads `local` and makes a frame of it.
    fn poll_local(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let start = self.out.len();
        let most = self.chunk_out - Header::SIZE;
        self.out.reserve(self.chunk_out);
        self.out.put_bytes(0, Header::SIZE);
        let read = poll_read_buf(Pin::new(&mut *self.local), cx, &mut (&mut self.out).limit(most));
        match read {
            Poll::Ready(Ok(count @ 1..)) => {
                let length = u16::try_from(count).unwrap_or(u16::MAX); // `most` is below that
                let header = Header { kind: Kind::Data, length }.encode();
                self.out[start..start + Header::SIZE].copy_from_slice(&header);
                if count == most {
                    self.chunk_out = LARGE;
                }
                self.sent += count as u64;
                self.terms.traffic.count_sent(count);
                Poll::Ready(())
            }
            Poll::Ready(ended) => {
                self.out.truncate(start);
                let reason = if ended.is_ok() { Reason::Finished } else { Reason::Broken };
                self.out.extend_from_slice(&reason.frame());
                self.ours = Some(reason);
                self.discard |= ended.is_err();
                Poll::Ready(())
            }
            Poll::Pending => {
                self.out.truncate(start);
                if start == 0 {
                    // Most streams wait most of the time; they need no buffer for that.
                    self.out = BytesMut::new();
                }
                Poll::Pending
            }
        }
    }

    /// From the link to `local`; ready when their half has ended and that was passed on.
    fn poll_in(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        loop {
            if let Some(reason) = self.theirs {
                if reason == Reason::Finished && !self.discard && !self.shut {
                    // That it was closed already is no news.
                    let _ = ready!(Pin::new(&mut *self.local).poll_shutdown(cx));
                }
                self.shut = true;
                if reason == Reason::Finished && self.ours.is_none() {
                    ready!(self.poll_recall(cx))?;
                }
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_deliver(cx))? {
                continue;
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Uses what was read: `true` when a frame that ends a half was among it, `false` when more must be read.
    fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, TunnelError>> {
        loop {
            let held = &mut self.link.frames.held;
            if self.left > 0 {
                let most = self.left.min(held.len());
                if most == 0 {
                    return Poll::Ready(Ok(false));
                }
                let count = if self.discard {
                    self.lost = true;
                    most
                } else {
                    match ready!(Pin::new(&mut *self.local).poll_write(cx, &held[..most])) {
                        Ok(count @ 1..) => count,
                        _ => {
                            self.break_off(Reason::Broken);
                            continue;
                        }
                    }
                };
                held.advance(count);
                self.left -= count;
                self.received += count as u64;
                self.terms.traffic.count_received(count);
                self.moved = true;
                continue;
            }
            let Some(&header) = held.first_chunk::<{ Header::SIZE }>() else { return Poll::Ready(Ok(false)) };
            let Header { kind, length } = Header::decode(header)?;
            if kind != Kind::Data {
                return Poll::Ready(self.take_end());
            }
            self.left = usize::from(length);
            held.advance(Header::SIZE);
        }
    }

    /// Uses a frame that ends their half, which must be the next one; `false` when it is not all there.
    fn take_end(&mut self) -> Result<bool, TunnelError> {
        let held = &mut self.link.frames.held;
        let Some(&header) = held.first_chunk::<{ Header::SIZE }>() else { return Ok(false) };
        match Header::decode(header)? {
            Header { kind: Kind::End, length: 1 } => {}
            Header { kind: Kind::End, .. } => return Err(WireError::Malformed(Kind::End).into()),
            Header { kind, .. } => return Err(WireError::OutOfPlace(kind).into()),
        }
        let Some(&reason) = held.get(Header::SIZE) else { return Ok(false) };
        let reason = Reason::decode(&[reason])?;
        held.advance(Header::SIZE + 1);
        match (self.theirs, reason) {
            (None, Reason::Gone) if self.received == 0 => return Ok(true), // of the stream before this one
            (None, Reason::Gone) => return Err(WireError::OutOfPlace(Kind::End).into()),
            (None, _) | (Some(_), Reason::Gone) => {}
            (Some(_), _) => return Err(WireError::OutOfPlace(Kind::End).into()),
        }
        self.theirs = Some(if self.lost && reason == Reason::Finished { Reason::Broken } else { reason });
        self.moved = true;
        if reason != Reason::Finished {
            self.discard = true;
            self.end(Reason::Broken);
        }
        Ok(true)
    }

    /// Their half is whole, ours is under way: they may still break the stream off.
    fn poll_recall(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        while !self.take_end()? {
            ready!(self.poll_fill(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads from the link until there is nothing more or the buffer is full.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        let mut any = false;
        while self.link.frames.held.len() < LARGE {
            let held = &mut self.link.frames.held;
            held.reserve(self.chunk_in.saturating_sub(held.len()).max(Header::SIZE));
            let room = (held.capacity() - held.len()).min(LARGE);
            match poll_read_buf(Pin::new(&mut self.link.tls), cx, &mut held.limit(room)) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(TunnelError::Closed)),
                Poll::Ready(Ok(_)) => any = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => break,
            }
            if self.link.frames.held.len() >= self.chunk_in {
                self.chunk_in = LARGE;
                break;
            }
        }
        if any {
            return Poll::Ready(Ok(()));
        }
        self.link.frames.release();
        Poll::Pending
    }

    /// Nothing more will go to or come from `local`.
    fn break_off(&mut self, reason: Reason) {
        self.discard = true;
        if self.ours == Some(Reason::Finished) {
            // The peer was told that our half is whole, and may have ended the stream by itself meanwhile.
            self.ours = None;
            self.end(Reason::Gone);
        } else {
            self.end(reason);
        }
        self.timer.as_mut().reset(tokio::time::Instant::now() + FAREWELL);
    }

    fn end(&mut self, reason: Reason) {
        if self.ours.is_none() {
            self.ours = Some(reason);
            self.out.extend_from_slice(&reason.frame());
        }
    }
}
