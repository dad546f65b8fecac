//! Prints what is found on this machine as JSON: `cargo run -p iono-hardware --example hardware -- /var/lib`
#![allow(clippy::print_stdout)]

use std::path::PathBuf;

use iono_hardware::{Hardware, HardwareError};

fn main() -> Result<(), HardwareError> {
    let data = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("/"), PathBuf::from);
    println!("{:#}", serde_json::json!(Hardware::discover(&data)?));
    Ok(())
}
