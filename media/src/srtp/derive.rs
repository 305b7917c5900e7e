//! Session keys from a master key (RFC 3711 4.3.1), with a key derivation rate of zero: once.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::key::MasterKey;

/// What a derived key is for (RFC 3711 4.3.1, 4.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    /// Encrypts RTP.
    RtpCipher = 0,
    /// Authenticates RTP.
    RtpAuth = 1,
    /// Salts the counters of RTP.
    RtpSalt = 2,
    /// Encrypts RTCP.
    RtcpCipher = 3,
    /// Authenticates RTCP.
    RtcpAuth = 4,
    /// Salts the counters of RTCP.
    RtcpSalt = 5,
}

/// AES in counter mode with a 16- or 32-byte key.
pub(super) struct CounterMode(EncryptingKey);

impl CounterMode {
    /// `None` if the key has another length.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
        let key = UnboundCipherKey::new(algorithm, key).ok()?;
        EncryptingKey::ctr(key).ok().map(Self)
    }

    /// Adds the key stream that starts at `counter` to `data`; twice is nothing.
    #[inline]
    pub(super) fn apply(&self, counter: [u8; 16], data: &mut [u8]) {
        let counter = EncryptionContext::Iv128(FixedLength::from(counter));
        // Fails for contexts of another mode alone; were it to, the packet must not leave readable.
        if self.0.less_safe_encrypt(data, counter).is_err() {
            data.fill(0);
        }
    }
}

/// Fills `out` with the session key for `label`. The generator is AES in counter mode with the
/// master key's own length (RFC 6188 3, RFC 7714 11).
pub(super) fn derive(master: &MasterKey, label: Label, out: &mut [u8]) -> Option<()> {
    let mut counter = [0; 16];
    // A salt of 12 bytes is padded to 14 at its end (RFC 7714 11).
    counter.get_mut(..master.salt().len())?.copy_from_slice(master.salt());
    // The label stands above the 48 bits of the index, which count as zero.
    counter[7] ^= label as u8;
    out.fill(0);
    CounterMode::new(master.key())?.apply(counter, out);
    Some(())
}
