//! Random operations on streams against a model: two queues of bytes for each stream, each with an end.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::VecDeque;

use common::{PATIENCE, Pair, limits, local};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Streams at a time.
const STREAMS: usize = 4;
/// Most bytes that nobody has read yet, in one direction: they fit into buffers on the way, so that no write waits.
const UNREAD: usize = 48 * 1024;

/// Which end of a stream does something.
#[derive(Debug, Clone, Copy)]
enum Side {
    Visitor,
    Service,
}

#[derive(Debug, Clone)]
enum Operation {
    Open,
    Write(usize, Side, usize),
    Read(usize, Side, usize),
    Finish(usize, Side),
    Break(usize, Side),
}

/// One direction: what was written and not read, and whether its writer has ended it.
#[derive(Default)]
struct Queue {
    bytes: VecDeque<u8>,
    finished: bool,
}

/// A stream with both of its ends, and what the model says of it.
struct Stream {
    visitor: TcpStream,
    service: TcpStream,
    /// To the service, to the visitor.
    queues: [Queue; 2],
}

impl Stream {
    fn end(&mut self, side: Side) -> (&mut TcpStream, &mut Queue) {
        let [to_service, to_visitor] = &mut self.queues;
        match side {
            Side::Visitor => (&mut self.visitor, to_service),
            Side::Service => (&mut self.service, to_visitor),
        }
    }

    /// The end that reads, and what it reads from.
    fn reader(&mut self, side: Side) -> (&mut TcpStream, &mut Queue) {
        let [to_service, to_visitor] = &mut self.queues;
        match side {
            Side::Visitor => (&mut self.visitor, to_visitor),
            Side::Service => (&mut self.service, to_service),
        }
    }

    async fn write(&mut self, side: Side, length: usize) {
        let (end, queue) = self.end(side);
        if queue.finished {
            return;
        }
        let length = length.min(UNREAD - queue.bytes.len());
        let data: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        end.write_all(&data).await.unwrap();
        queue.bytes.extend(data);
    }

    async fn read(&mut self, side: Side, most: usize) {
        let (end, queue) = self.reader(side);
        let length = most.min(queue.bytes.len());
        let mut data = vec![0; length];
        end.read_exact(&mut data).await.unwrap();
        assert!(
            data.iter().eq(queue.bytes.drain(..length).collect::<Vec<_>>().iter()),
            "other bytes than were sent"
        );
        if queue.finished && queue.bytes.is_empty() {
            assert_eq!(end.read(&mut [0; 1]).await.unwrap(), 0, "more than was sent");
        }
    }

    async fn finish(&mut self, side: Side) {
        let (end, queue) = self.end(side);
        if !queue.finished {
            end.shutdown().await.unwrap();
            queue.finished = true;
        }
    }

    /// One end breaks off: the other must not take that for the end of what was sent, unless it was ended before.
    async fn break_off(self, side: Side) {
        let Self { visitor, service, queues: [to_service, to_visitor] } = self;
        let (breaks, mut stays, queue) = match side {
            Side::Visitor => (visitor, service, to_service),
            Side::Service => (service, visitor, to_visitor),
        };
        breaks.set_zero_linger().unwrap();
        drop(breaks);
        let mut rest = Vec::new();
        let read = stays.read_to_end(&mut rest).await;
        let sent: Vec<u8> = queue.bytes.into();
        assert!(sent.starts_with(&rest), "bytes that nobody sent");
        if !queue.finished {
            assert!(read.is_err(), "a break looks like an end after {} of {} bytes", rest.len(), sent.len());
        }
    }
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Visitor), Just(Side::Service)]
}

fn operation() -> impl Strategy<Value = Operation> {
    let which = 0..STREAMS;
    prop_oneof![
        2 => Just(Operation::Open),
        6 => (which.clone(), side(), 1..20_000usize).prop_map(|(n, side, length)| Operation::Write(n, side, length)),
        6 => (which.clone(), side(), 1..40_000usize).prop_map(|(n, side, length)| Operation::Read(n, side, length)),
        2 => (which.clone(), side()).prop_map(|(n, side)| Operation::Finish(n, side)),
        1 => (which, side()).prop_map(|(n, side)| Operation::Break(n, side)),
    ]
}

async fn play(operations: Vec<Operation>) {
    let listener = TcpListener::bind(local()).await.unwrap();
    let pair = Pair::new(listener.local_addr().unwrap(), limits()).await;
    let port = pair.expose("any").await;
    let mut streams: Vec<Stream> = Vec::new();
    for operation in operations {
        match operation {
            Operation::Open if streams.len() < STREAMS => {
                let visitor = TcpStream::connect(port.address()).await.unwrap();
                let (service, _) = listener.accept().await.unwrap();
                streams.push(Stream { visitor, service, queues: Default::default() });
            }
            Operation::Open => {}
            Operation::Write(n, side, length) => {
                if let Some(stream) = streams.get_mut(n) {
                    stream.write(side, length).await;
                }
            }
            Operation::Read(n, side, most) => {
                if let Some(stream) = streams.get_mut(n) {
                    stream.read(side, most).await;
                }
            }
            Operation::Finish(n, side) => {
                if let Some(stream) = streams.get_mut(n) {
                    stream.finish(side).await;
                }
            }
            Operation::Break(n, side) if n < streams.len() => streams.swap_remove(n).break_off(side).await,
            Operation::Break(..) => {}
        }
    }
    // What is still open is brought to its end in good order.
    for mut stream in streams {
        for side in [Side::Visitor, Side::Service] {
            stream.finish(side).await;
        }
        for side in [Side::Visitor, Side::Service] {
            stream.read(side, usize::MAX).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn streams_do_what_a_model_does(operations in prop::collection::vec(operation(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(3 * PATIENCE, play(operations)).await.expect("a stream hangs");
        });
    }
}
