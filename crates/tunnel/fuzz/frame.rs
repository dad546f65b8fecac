//! A data connection's bytes, frame by frame: nothing panics, nothing is read beyond its length, and what is read is
//! written the same again.
#![no_main]
#![allow(dead_code, unused_imports, missing_docs)] // each target reads a part of it

#[path = "../src/wire/mod.rs"]
mod wire;

use libfuzzer_sys::fuzz_target;
use wire::{Header, Kind, Open, Reason};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Some((header, behind)) = rest.split_first_chunk::<{ Header::SIZE }>() {
        let Ok(read) = Header::decode(*header) else { return };
        assert_eq!(read.encode(), *header);
        let Some((payload, behind)) = behind.split_at_checked(read.length.into()) else { return };
        let whole = [header, payload].concat();
        match read.kind {
            Kind::Open => {
                if let Ok(open) = Open::decode(payload) {
                    assert_eq!(open.frame().expect("what was read can be written"), whole);
                }
            }
            Kind::End => {
                if let Ok(reason) = Reason::decode(payload) {
                    assert_eq!(reason.frame()[..], whole);
                }
            }
            _ => assert_eq!(Header::frame(read.kind, payload).expect("a length of 16 bits"), whole),
        }
        rest = behind;
    }
});
