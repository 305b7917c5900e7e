//! The caller's end of SRTP keyed by SDP.

use media::srtp::{Inbound, InboundStart, MasterKey, OVERHEAD_BYTES_MAX, Outbound, Suite};
use talkpath::sip::core::sdp::crypto::{self, Crypto};

use super::caller::Caller;

/// Both directions of a caller's SRTP.
pub struct Srtp {
    /// What protects ours.
    pub out: Outbound,
    /// What opens the server's.
    pub inn: Inbound,
}

impl Srtp {
    /// From our key and the line in the server's answer.
    #[track_caller]
    pub fn new(ours: &MasterKey, caller: &Caller) -> Self {
        let theirs = Crypto::parse(caller.attribute("crypto:").unwrap()).unwrap();
        assert_eq!(theirs.key.suite(), ours.suite());
        assert_ne!(&theirs.key, ours);
        let inn = Inbound::new(&theirs.key, InboundStart::default()).unwrap();
        Self { out: Outbound::new(ours).unwrap(), inn }
    }

    /// A packet of ours, protected.
    pub fn protect(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + OVERHEAD_BYTES_MAX, 0);
        let length = self.out.protect(&mut buffer, packet.len()).unwrap();
        buffer.truncate(length);
        buffer
    }

    /// A packet of the server's, if it is authentic.
    pub fn open(&mut self, mut packet: Vec<u8>) -> Option<Vec<u8>> {
        let length = self.inn.unprotect(&mut packet).ok()?;
        packet.truncate(length);
        Some(packet)
    }
}

/// A key that is the same for the same seed.
pub fn key(suite: Suite, seed: u8) -> MasterKey {
    let bytes: Vec<u8> = (0..MasterKey::bytes(suite)).map(|n| n as u8 ^ seed).collect();
    MasterKey::new(suite, &bytes).unwrap()
}

/// The line of a description that tells it.
pub fn line(tag: u32, key: &MasterKey) -> String {
    let mut line = String::new();
    crypto::write(&mut line, tag, key);
    line
}
