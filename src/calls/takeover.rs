//! A leg that is to take the place of a call's peer.

use std::fmt;
use std::net::IpAddr;

use media::time::MonoTime;

use crate::quota::Permit;
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::locate::Target;
use crate::sip::core::offer_answer::LocalMedia;
use crate::workers::command::RtpSockets;

/// A leg that is to take the place of a call's peer once it is answered. Until then the peer stays
/// as it is, and if the leg fails it goes on.
pub(super) struct Takeover {
    /// Its dialog.
    pub(super) dialog: DialogId,
    /// What we can do on it.
    pub(super) media: LocalMedia,
    /// Our description on it.
    pub(super) sdp: Vec<u8>,
    /// Its ports.
    pub(super) sockets: RtpSockets,
    /// Where its signalling comes from.
    pub(super) signalling: IpAddr,
    /// When it must have been answered.
    pub(super) answer_by: MonoTime,
    /// The dialog whose peer asked for it by REFER, and is told how it goes.
    pub(super) referrer: Option<DialogId>,
    /// What it counts for beside the peer, if we call it; once it has taken over, it counts as the
    /// peer did, and is charged for what this holds.
    pub(super) place: Option<Permit>,
    /// The server of its INVITE that went by a stream; none once it has gone in a datagram.
    pub(super) stream: Option<Box<Target>>,
}

/// Shows nothing of our description, as it may hold keys.
impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Takeover");
        shown.field("dialog", &self.dialog).field("signalling", &self.signalling);
        shown.finish_non_exhaustive()
    }
}
