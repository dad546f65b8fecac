//! A control connection's bytes as its other end reads them: whatever comes, a message has one encoding, is no longer than
//! it may be, and frames of streams are refused there.
#![no_main]
#![allow(dead_code, unused_imports, missing_docs)] // each target reads a part of it

#[path = "../src/wire/mod.rs"]
mod wire;

use libfuzzer_sys::fuzz_target;
use wire::{Header, Kind, MAX_MESSAGE, Message, WireError};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Some((header, behind)) = rest.split_first_chunk::<{ Header::SIZE }>() {
        let Ok(read) = Header::decode(*header) else { return };
        let Some((payload, behind)) = behind.split_at_checked(read.length.into()) else { return };
        let streams = matches!(read.kind, Kind::Open | Kind::Data | Kind::End | Kind::Datagram);
        match Message::decode(read.kind, payload) {
            Ok(message) => {
                assert!(!streams, "a frame of a stream is a message");
                if let Message::Payload(said) = &message {
                    assert!(said.len() <= MAX_MESSAGE);
                }
                assert_eq!(
                    message.frame().expect("what was read can be written"),
                    [header, payload].concat()
                );
            }
            Err(error) => {
                assert_eq!(streams, error == WireError::OutOfPlace(read.kind));
                return;
            }
        }
        rest = behind;
    }
});
