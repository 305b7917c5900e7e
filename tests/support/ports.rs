//! Ports on loopback that belong to one test alone, across all test processes.

use std::cell::Cell;
use std::net::{Ipv4Addr, UdpSocket};

/// Ports that are dealt out: below those that the kernel gives to sockets without a wish, and above
/// those that measurements of this project take first.
const FIRST: u16 = 23_000;
/// Ports of a block.
const BLOCK: u16 = 400;
/// Blocks.
const BLOCKS: u16 = 24;
/// Ports of a block that are the server's RTP ports.
const RTP: u16 = 340;

/// A block of ports. It is claimed by a socket on its last port: the kernel sees to it that no
/// other test process has the same.
#[derive(Debug)]
pub struct Ports {
    _claim: UdpSocket,
    first: u16,
    next: Cell<u16>,
}

impl Ports {
    /// Claims a block.
    pub fn claim() -> Self {
        let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap();
        for index in 0..BLOCKS {
            let first = FIRST + (start + index) % BLOCKS * BLOCK;
            let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, first + BLOCK - 1));
            // What is no test may sit there all the same.
            if let Ok(claim) = claim
                && (first..first + BLOCK - 1).all(is_free)
            {
                return Self { _claim: claim, first, next: Cell::new(first + RTP) };
            }
        }
        panic!("all {BLOCKS} blocks of ports are taken");
    }

    /// The server's RTP ports, as its configuration names them.
    pub fn rtp(&self) -> String {
        format!("{}-{}", self.first, self.first + RTP - 1)
    }

    /// First and last of the server's RTP ports.
    pub fn rtp_range(&self) -> (u16, u16) {
        (self.first, self.first + RTP - 1)
    }

    /// An even port, and the odd one after it, that nobody else uses.
    pub fn pair(&self) -> u16 {
        self.run(2)
    }

    /// The first, even, of `count` ports in a row that nobody else uses.
    pub fn run(&self, count: u16) -> u16 {
        loop {
            let port = self.next.get();
            assert!(port + count < self.first + BLOCK, "a test uses too many ports");
            self.next.set(port + count);
            if (port..port + count).all(is_free) {
                return port;
            }
        }
    }
}

/// True if nobody has this UDP port.
fn is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
