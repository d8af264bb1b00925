//! Ports for the nodes' links. HTTP and metrics take any free port and say which; a link's port has to be
//! known to the other nodes, and to stay the same over a restart.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// The first port that is handed out. All are below the range from which the system takes ports for
/// others (32768 on Linux, 49152 elsewhere), so that they stay free between a node's lives.
const FIRST: u16 = 10_000;
/// Ports of each test process, so that two at a time do not meet.
const PER_PROCESS: u16 = 512;
/// Test processes whose ports are apart.
const PROCESSES: u32 = 44;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// The first of `count` neighbouring ports that are free on the loopback, for TCP and UDP.
///
/// # Panics
/// This process has used up its ports.
#[must_use]
pub fn free_block(count: u16) -> u16 {
    let process = u16::try_from(std::process::id() % PROCESSES).unwrap();
    loop {
        let offset = NEXT.fetch_add(count, Ordering::Relaxed);
        assert!(offset + count <= PER_PROCESS, "this process has used up its {PER_PROCESS} ports");
        let first = FIRST + process * PER_PROCESS + offset;
        if (first..first + count).all(is_free) {
            return first;
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
