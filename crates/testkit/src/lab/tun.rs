//! A TUN device as a file: packets of up to 64 KiB that the kernel has not cut into segments, each behind a header that
//! says how to (`virtio_net_hdr`). That makes the relay fast enough to be no bottleneck.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::libc;

use super::Namespace;

/// Bytes before each packet.
pub(super) const VNET_HEADER: usize = 10;
/// Most bytes of one read.
pub(super) const LARGEST: usize = VNET_HEADER + 65_535;

/// `struct ifreq` with what TUNSETIFF reads of it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

nix::ioctl_write_ptr_bad!(set_interface, libc::TUNSETIFF, Request);
nix::ioctl_write_int_bad!(set_offload, libc::TUNSETOFFLOAD);

/// Makes the device `wan` in a namespace; the calling thread moves there.
pub(super) fn create(namespace: &Namespace) -> Result<Tun> {
    namespace.enter()?;
    let path = "/dev/net/tun";
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let file = options.open(path).with_context(|| format!("cannot open {path}"))?;
    attach(&file).context("cannot make a TUN device")?;
    namespace.ip(&["link", "set", "wan", "txqueuelen", "20000"])?;
    Ok(Tun(file))
}

#[allow(unsafe_code)]
fn attach(file: &File) -> Result<()> {
    let mut request = Request { name: [0; libc::IFNAMSIZ], flags: 0, rest: [0; 22] };
    request.name[..3].copy_from_slice(b"wan");
    request.flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR)?;
    // SAFETY: the descriptor is open, and the request is as long as the kernel's `ifreq`, of which it reads name and flags.
    unsafe { set_interface(file.as_raw_fd(), &raw const request) }?;
    let offload = libc::c_int::try_from(libc::TUN_F_CSUM | libc::TUN_F_TSO4)?;
    // SAFETY: the descriptor is open, and the argument is a number.
    unsafe { set_offload(file.as_raw_fd(), offload) }?;
    Ok(())
}

pub(super) struct Tun(pub(super) File);

impl Tun {
    /// The next packet behind its header; `None` when there is none now.
    pub(super) fn read<'a>(&self, buffer: &'a mut [u8]) -> std::io::Result<Option<&'a [u8]>> {
        match (&self.0).read(buffer) {
            Ok(length) => Ok(Some(&buffer[..length])),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands a packet with its header to the kernel; what it does not take is lost, as on any line.
    pub(super) fn write(&self, packet: &[u8]) {
        let _ = (&self.0).write(packet);
    }
}
