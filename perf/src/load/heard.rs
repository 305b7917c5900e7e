//! What the generator hears.

use super::account::{Account, Tally};
use super::engine::Times;
use super::stamps::Stamps;
use crate::rtp::{self, Faults, Packet};

/// What the generator measured itself.
#[derive(Clone)]
pub(crate) struct Heard {
    /// Fates of the packets.
    pub(crate) tally: Tally,
    /// Faults of the headers.
    pub(crate) faults: Faults,
    /// RTCP packets that came.
    pub(crate) rtcp: u64,
    /// Send to return.
    pub(crate) echo: Times,
    /// Send to arrival at the agent.
    pub(crate) forward: Times,
    /// The agent's sending to return.
    pub(crate) back: Times,
    /// Arrivals against each stream's own media clock.
    pub(crate) lateness: Times,
    /// The same of the stream that fared worst, 99 %, in nanoseconds.
    pub(crate) worst_late_ns: u64,
    /// Our sending against its schedule.
    pub(crate) generator_late: Times,
    /// Streams of which nothing came back in the window.
    pub(crate) starved: usize,
}

/// Books what arrived as a datagram or a binary message.
pub(super) fn book(
    account: &mut Account,
    heard: &mut Heard,
    stamps: Option<&Stamps>,
    id: usize,
    bytes: &[u8],
    stamp_ns: u64,
    open: bool,
) {
    if rtp::is_rtcp(bytes) {
        heard.rtcp += 1;
        return;
    }
    let Some(packet) = rtp::parse(bytes) else {
        account.not_rtp();
        return;
    };
    book_packet(account, heard, stamps, id, &packet, stamp_ns, open);
}

/// Books a packet.
pub(super) fn book_packet(
    account: &mut Account,
    heard: &mut Heard,
    stamps: Option<&Stamps>,
    id: usize,
    packet: &Packet<'_>,
    stamp_ns: u64,
    open: bool,
) {
    let Some(echo) = account.received(packet, stamp_ns, open) else { return };
    heard.echo.saturating_record(stamp_ns.saturating_sub(echo.sent_ns));
    if let Some((arrived, sent)) = stamps.and_then(|stamps| stamps.get(id as u32, echo.index)) {
        heard.forward.saturating_record(arrived.saturating_sub(echo.sent_ns));
        heard.back.saturating_record(stamp_ns.saturating_sub(sent));
    }
}
