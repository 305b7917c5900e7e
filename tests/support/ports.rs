//! Ports on loopback that belong to one test alone, across all test processes.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Ports that are dealt out: below those that the kernel gives to sockets without a wish, and above
/// those that measurements of this project take first.
const FIRST: u16 = 23_000;
/// Ports of a block.
const BLOCK: u16 = 400;
/// Blocks.
const BLOCKS: u16 = 24;
/// Ports for everything but the server's RTP.
const PEERS: u16 = 60;
/// Ports of a part of a block, and those of them for everything but the server's RTP.
const PART: u16 = 48;
const PART_PEERS: u16 = 16;

/// A block of ports. It is claimed by a socket on its last port: the kernel sees to it that no
/// other test process has the same.
#[derive(Debug)]
pub struct Ports {
    /// Shared by the parts of a block.
    claims: Arc<Vec<UdpSocket>>,
    first: u16,
    /// The first that is not one of the server's RTP ports.
    after_rtp: u16,
    last: u16,
    next: AtomicU16,
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
                let claims = Arc::new(claims);
                return Self { claims, first, after_rtp, last, next: after_rtp.into() };
            }
        }
        panic!("all {BLOCKS} blocks of ports are taken");
    }

    /// Claims a part of a block: enough for a server with a few calls. Servers of one test that are
    /// there at the same time share a block, as there are not many.
    pub fn claim_part() -> Self {
        /// The block that is being cut up, and where its next part begins.
        static CUT: Mutex<(Weak<Vec<UdpSocket>>, u16, u16)> = Mutex::new((Weak::new(), 0, 0));
        let mut cut = CUT.lock().unwrap_or_else(PoisonError::into_inner);
        let (claims, first) = match cut.0.upgrade() {
            // The last port of a block is the claim itself.
            Some(claims) if cut.1 + PART <= cut.2 => (claims, cut.1),
            _ => {
                let block = Self::claim();
                (cut.0, cut.2) = (Arc::downgrade(&block.claims), block.last);
                (block.claims, block.first)
            }
        };
        cut.1 = first + PART;
        let (last, after_rtp) = (first + PART - 1, first + PART - PART_PEERS);
        Self { claims, first, after_rtp, last, next: after_rtp.into() }
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
            let port = self.next.fetch_add(count, Relaxed);
            assert!(port + count <= self.last, "a test uses too many ports");
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
