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
/// Ports for everything but the server's RTP.
const PEERS: u16 = 60;

/// A block of ports. It is claimed by a socket on its last port: the kernel sees to it that no
/// other test process has the same.
#[derive(Debug)]
pub struct Ports {
    _claims: Vec<UdpSocket>,
    first: u16,
    /// The first that is not one of the server's RTP ports.
    after_rtp: u16,
    last: u16,
    next: Cell<u16>,
}

impl Ports {
    /// Claims a block.
    pub fn claim() -> Self {
        Self::claim_blocks(1)
    }

    /// Claims so many blocks in a row.
    pub fn claim_blocks(count: u16) -> Self {
        let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap();
        for index in 0..BLOCKS {
            let block = (start + index) % BLOCKS;
            if block + count > BLOCKS {
                continue;
            }
            let first = FIRST + block * BLOCK;
            let bind = |block| {
                let port = first + (block + 1) * BLOCK - 1;
                UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()
            };
            let Some(claims) = (0..count).map(bind).collect::<Option<Vec<_>>>() else { continue };
            let (last, after_rtp) = (first + count * BLOCK - 1, first + count * BLOCK - PEERS);
            // What is no test may sit there all the same.
            let claimed = |port: u16| (port - first) % BLOCK == BLOCK - 1;
            if (first..last).all(|port| claimed(port) || is_free(port)) {
                return Self { _claims: claims, first, after_rtp, last, next: after_rtp.into() };
            }
        }
        panic!("all {BLOCKS} blocks of ports are taken");
    }

    /// The server's RTP ports, as its configuration names them.
    pub fn rtp(&self) -> String {
        let (first, last) = self.rtp_range();
        format!("{first}-{last}")
    }

    /// First and last of the server's RTP ports.
    pub fn rtp_range(&self) -> (u16, u16) {
        (self.first, self.after_rtp - 1)
    }

    /// First and last of all ports of this test.
    pub fn block(&self) -> (u16, u16) {
        (self.first, self.last)
    }

    /// An even port, and the odd one after it, that nobody else uses.
    pub fn pair(&self) -> u16 {
        self.run(2)
    }

    /// The first, even, of `count` ports in a row that nobody else uses.
    pub fn run(&self, count: u16) -> u16 {
        loop {
            let port = self.next.get();
            assert!(port + count <= self.last, "a test uses too many ports");
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
