//! How fast a disk takes what is written, until it is really there.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const BLOCK: usize = 4 << 20;
/// The most that is written, in bytes.
const MOST: usize = 64 << 20;
/// A slow disk is known sooner.
const TIME: Duration = Duration::from_secs(3);

/// MiB a second that a new file in `folder` takes, from the first byte to all being on the disk. Writes at most 64 MiB
/// and blocks for some seconds; the file has no name, so that nothing of it is left whatever happens.
///
/// # Errors
/// What the system says, such as that the disk is full.
pub fn write_speed(folder: &Path) -> io::Result<u64> {
    let mut file = tempfile::tempfile_in(folder)?;
    // What compresses or is all zeros would not reach every disk.
    let block: Vec<u8> =
        (0..BLOCK as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let (start, mut written) = (Instant::now(), 0);
    while written < MOST && start.elapsed() < TIME {
        written += write(&mut file, &block)?;
    }
    let mebibytes = written as f64 / f64::from(1 << 20);
    Ok((mebibytes / start.elapsed().as_secs_f64()).max(1.0) as u64)
}

fn write(file: &mut File, block: &[u8]) -> io::Result<usize> {
    file.write_all(block)?;
    // Else the first blocks go to memory alone, and a slow disk is known too late.
    file.sync_data()?;
    Ok(block.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_takes_something_and_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write_speed(folder.path()).unwrap() > 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(write_speed(&folder.path().join("missing")).is_err());
    }
}
