//! Packets that came before it was known whose they are.
//!
//! Who answers may speak at once, and its first packet may be faster than the answer: SIP and RTP
//! are different sockets, read by different threads. Such packets wait for a moment, and are heard
//! once the answer says that they are the peer's.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use media::time::MonoTime;

/// Packets that may wait; the oldest make room.
pub(super) const PARKED_PACKETS_MAX: usize = 16;
/// Longest that a packet may wait: what is older is no beginning of anything.
pub(super) const PARKED_AGE_MAX: Duration = Duration::from_millis(200);

/// A datagram, when it came and where from.
#[derive(Debug)]
struct Datagram {
    at: MonoTime,
    from: SocketAddr,
    bytes: Box<[u8]>,
}

/// Packets that wait for what offer and answer settle.
#[derive(Debug, Default)]
pub(super) struct Parked(VecDeque<Datagram>);

impl Parked {
    /// Lets a datagram wait; true if another one had to go for it.
    pub(super) fn park(&mut self, at: MonoTime, from: SocketAddr, bytes: &[u8]) -> bool {
        let full = self.0.len() >= PARKED_PACKETS_MAX;
        if full {
            self.0.pop_front();
        }
        self.0.push_back(Datagram { at, from, bytes: bytes.into() });
        full
    }

    /// Puts the next datagram that is not too old into `buffer`: its length and where it came from.
    /// Counts in `stale` what was.
    pub(super) fn next(
        &mut self,
        now: MonoTime,
        buffer: &mut [u8],
        stale: &mut u64,
    ) -> Option<(usize, SocketAddr)> {
        loop {
            let Datagram { at, from, bytes } = self.0.pop_front()?;
            let room = buffer.get_mut(..bytes.len()).filter(|_| now.since(at) <= PARKED_AGE_MAX);
            let Some(room) = room else {
                *stale += 1;
                continue;
            };
            room.copy_from_slice(&bytes);
            return Some((bytes.len(), from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4000);

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(1_000 + ms)
    }

    /// What waits comes out in its order, except what is too old or does not fit.
    #[test]
    fn what_is_young_comes_out_in_order() {
        let mut parked = Parked::default();
        for (ms, byte) in [(0, 1), (1, 2), (150, 3), (200, 4)] {
            assert!(!parked.park(at(ms), FROM, &[byte; 3]));
        }
        assert!(!parked.park(at(200), FROM, &[9; 64]));
        let (mut buffer, mut stale, mut out) = ([0; 16], 0, Vec::new());
        while let Some((length, from)) = parked.next(at(201), &mut buffer, &mut stale) {
            assert_eq!((length, from), (3, FROM));
            out.push(buffer[0]);
        }
        assert_eq!((out, stale), (vec![2, 3, 4], 2));
    }

    /// A flood keeps nothing but its end.
    #[test]
    fn the_oldest_make_room() {
        let mut parked = Parked::default();
        let gone = (0..100_u8).filter(|byte| parked.park(at(0), FROM, &[*byte])).count();
        assert_eq!(gone, 100 - PARKED_PACKETS_MAX);
        let (mut buffer, mut stale) = ([0; 4], 0);
        assert_eq!(parked.next(at(0), &mut buffer, &mut stale), Some((1, FROM)));
        assert_eq!((usize::from(buffer[0]), stale), (100 - PARKED_PACKETS_MAX, 0));
    }
}
