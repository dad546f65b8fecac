//! Notices at once when the way to the gateway begins at another address, as when a laptop changes from cable to wireless:
//! the old connection is silent then, and its keep-alive would find out late. The kernel tells of changes, so that nothing
//! wakes while there are none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::libc;
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use tokio::net::UnixDatagram;

use crate::link::Link;

/// Addresses and routes that come and go.
const GROUPS: i32 =
    libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR | libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE;

/// The way that a connection takes.
pub(super) struct Route {
    from: IpAddr,
    to: SocketAddr,
    /// The kernel's socket, which is read like one of the machine's own.
    changes: UnixDatagram,
}

impl Route {
    /// That of `link`; `None` when the kernel does not tell of changes.
    pub(super) fn of(link: &Link) -> Option<Self> {
        let (from, to) = (link.own_address()?.ip(), link.address()?);
        let changes = listen().inspect_err(|error| tracing::debug!(%error, "changes of addresses go unseen"));
        Some(Self { from, to, changes: changes.ok()? })
    }

    /// Waits until the kernel would begin a new connection to the gateway at another address.
    pub(super) async fn changed(&self) {
        let mut buffer = [0; 8 * 1024];
        loop {
            match self.changes.recv(&mut buffer).await {
                // Some were lost in a full queue.
                Err(error) if error.raw_os_error() != Some(libc::ENOBUFS) => std::future::pending().await,
                _ => while self.changes.try_recv(&mut buffer).is_ok() {},
            }
            // Without any way there is nothing to begin anew.
            if self.present().is_some_and(|present| present != self.from) {
                return;
            }
        }
    }

    /// Where a connection would begin now. Sends nothing.
    fn present(&self) -> Option<IpAddr> {
        let any: IpAddr =
            if self.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(self.to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    }
}

fn listen() -> std::io::Result<UnixDatagram> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS.cast_unsigned()))?;
    UnixDatagram::from_std(socket.into())
}
