//! A leg's SRTP: the contexts of both directions, and how they change in mid-call.

use std::sync::Arc;
use std::time::Duration;

use media::rtp::PACKET_BYTES_MAX;
use media::srtp::{Inbound, InboundStart, MasterKey, Outbound, SrtpError, SrtpKeys};
use media::time::MonoTime;

/// How long packets under the key before still count after a change: the peer learns of it only
/// with our answer.
const CHANGE_MS: u64 = 2_000;
/// Keys of ours that are remembered when others have taken their place: those that an offer has
/// beside each other, of which answers may choose one now and one then.
const FORMER_MAX: usize = 8;

/// The protection of one leg. It outlives a change to plain RTP, so that a key that comes back
/// cannot protect anything twice.
#[derive(Debug)]
pub(super) struct Security {
    keys: Arc<SrtpKeys>,
    out: Outbound,
    /// Keys of ours that were used before, and how far.
    former: Vec<(MasterKey, Outbound)>,
    inn: Inbound,
    /// What opened the peer's packets before the key changed, and until when it is tried.
    before: Option<Box<(Inbound, MonoTime)>>,
}

impl Security {
    pub(super) fn new(keys: &Arc<SrtpKeys>) -> Result<Self, SrtpError> {
        let start = InboundStart { mki: keys.mki, rollover: 0 };
        Ok(Self {
            out: Outbound::new(&keys.ours)?,
            former: Vec::new(),
            inn: Inbound::new(&keys.theirs, start)?,
            keys: Arc::clone(keys),
            before: None,
        })
    }

    /// Takes the keys that were settled anew; a key that stays, or comes back, keeps its context.
    pub(super) fn change(&mut self, now: MonoTime, keys: &Arc<SrtpKeys>) -> Result<(), SrtpError> {
        if self.keys.ours != keys.ours {
            let known = self.former.iter().position(|(key, _)| *key == keys.ours);
            let out = match known.map(|at| self.former.swap_remove(at)) {
                Some((_, out)) => out,
                None => Outbound::new(&keys.ours)?,
            };
            if self.former.len() >= FORMER_MAX {
                self.former.remove(0);
            }
            let before = std::mem::replace(&mut self.out, out);
            self.former.push((self.keys.ours.clone(), before));
        }
        if self.keys.theirs != keys.theirs || self.keys.mki != keys.mki {
            let start = InboundStart { mki: keys.mki, rollover: self.inn.rollover() };
            let inn = Inbound::new(&keys.theirs, start)?;
            let before = std::mem::replace(&mut self.inn, inn);
            self.before = Some(Box::new((before, now + Duration::from_millis(CHANGE_MS))));
        }
        self.keys = Arc::clone(keys);
        Ok(())
    }

    /// Opens a packet of the peer, or reports.
    #[inline]
    pub(super) fn open(
        &mut self,
        now: MonoTime,
        datagram: &mut [u8],
        reports: bool,
    ) -> Result<usize, SrtpError> {
        if self.before.is_some() {
            return self.open_in_change(now, datagram, reports);
        }
        open(&mut self.inn, datagram, reports)
    }

    /// Opens a packet while those under the key before may still come. A failed attempt destroys
    /// what it is made on, so the old key is tried on a copy.
    #[cold]
    fn open_in_change(
        &mut self,
        now: MonoTime,
        datagram: &mut [u8],
        reports: bool,
    ) -> Result<usize, SrtpError> {
        let Some((before, until)) = self.before.as_deref_mut() else {
            return open(&mut self.inn, datagram, reports);
        };
        if *until <= now {
            self.before = None;
            return open(&mut self.inn, datagram, reports);
        }
        let mut copy = [0; PACKET_BYTES_MAX];
        let copy = copy.get_mut(..datagram.len()).ok_or(SrtpError::Truncated)?;
        copy.copy_from_slice(datagram);
        let opened = open(&mut self.inn, datagram, reports);
        if opened.is_ok() {
            return opened;
        }
        let length = open(before, copy, reports)?;
        datagram.copy_from_slice(copy);
        Ok(length)
    }

    /// Protects the packet or the reports in the first `length` bytes of `buffer`.
    #[inline]
    pub(super) fn protect(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        reports: bool,
    ) -> Result<usize, SrtpError> {
        if reports {
            self.out.protect_rtcp(buffer, length)
        } else {
            self.out.protect(buffer, length)
        }
    }
}

#[inline]
fn open(inn: &mut Inbound, datagram: &mut [u8], reports: bool) -> Result<usize, SrtpError> {
    if reports { inn.unprotect_rtcp(datagram) } else { inn.unprotect(datagram) }
}

#[cfg(test)]
mod tests {
    use media::srtp::{MasterKey, OVERHEAD_BYTES_MAX, Suite};

    use super::*;

    fn key(seed: u8) -> MasterKey {
        MasterKey::new(Suite::AesGcm128, &[seed; 28]).unwrap()
    }

    fn keys(ours: u8, theirs: u8) -> Arc<SrtpKeys> {
        Arc::new(SrtpKeys { ours: key(ours), theirs: key(theirs), mki: None })
    }

    fn packet(security: &mut Security, seq: u8) -> Result<Vec<u8>, SrtpError> {
        let mut bytes = vec![0x80, 0, 0, seq, 0, 0, 0, 0, 1, 2, 3, 4, b'h', b'i'];
        let length = bytes.len();
        bytes.resize(length + OVERHEAD_BYTES_MAX, 0);
        let length = security.protect(&mut bytes, length, false)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// After a change of keys, packets under the old ones count for a while, and those under the
    /// new ones at once; a key that stays keeps its context and protects nothing twice.
    #[test]
    fn keys_change_in_mid_call() {
        let now = MonoTime::ZERO;
        let mut ours = Security::new(&keys(1, 2)).unwrap();
        let mut theirs = Security::new(&keys(2, 1)).unwrap();
        let mut old: Vec<_> = (1..5).map(|seq| packet(&mut theirs, seq).unwrap()).collect();
        theirs.change(now, &keys(3, 1)).unwrap();
        let mut new: Vec<_> = (5..8).map(|seq| packet(&mut theirs, seq).unwrap()).collect();

        assert_eq!(ours.open(now, &mut old[0], false), Ok(14));
        assert!(ours.open(now, &mut new[0].clone(), false).is_err(), "not settled yet");
        assert!(packet(&mut ours, 1).is_ok());
        ours.change(now, &keys(1, 3)).unwrap();
        assert_eq!(packet(&mut ours, 1), Err(SrtpError::Reuse));
        assert!(packet(&mut ours, 2).is_ok());
        assert_eq!(ours.open(now, &mut old[1], false), Ok(14));
        assert_eq!(&old[1][12..14], b"hi");
        assert_eq!(ours.open(now, &mut new[0], false), Ok(14));
        assert_eq!(ours.open(now, &mut old[2], false), Ok(14));
        // A key that others had taken the place of.
        ours.change(now, &keys(4, 3)).unwrap();
        assert!(packet(&mut ours, 1).is_ok());
        ours.change(now, &keys(1, 3)).unwrap();
        assert_eq!(packet(&mut ours, 2), Err(SrtpError::Reuse));
        let later = now + Duration::from_millis(CHANGE_MS);
        assert!(ours.open(later, &mut old[3], false).is_err());
        assert_eq!(ours.open(later, &mut new[1], false), Ok(14));
    }
}
