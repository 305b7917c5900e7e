//! What a receiver tells of a packet and of its source.

use crate::time::MonoTime;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Newer than all before it.
    Accept(Arrival),
    /// Behind the newest, and its first copy.
    Late(Arrival),
    /// A copy of a packet that came before.
    Duplicate,
    /// Far from where the sequence stands. A second packet in sequence with it is a restart.
    Stray,
    /// Of a source that another one superseded within the last 200 ms in which that one was heard.
    Foreign,
}

/// A packet's place on the receiver's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Extended sequence number.
    pub ext_seq: u64,
    /// Extended timestamp in clock units. Never smaller than that of an earlier
    /// [`Received::Accept`], telephone events apart.
    pub ext_ts: u64,
    /// Packets missing between this one and the newest before it; zero for late ones.
    pub gap: u32,
    /// How the packet is tied to what came before.
    pub continuity: Continuity,
}

/// Where a stream stood that another one goes on from, though it was none of RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stood {
    /// Number of what came last.
    pub ext_seq: u64,
    /// Its media time, in units of `clock_hz`.
    pub ext_ts: u64,
    /// The clock of that.
    pub clock_hz: u32,
    /// When it came.
    pub at: MonoTime,
}

/// How a packet is tied to what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// The same sequence.
    Same,
    /// The first packet of all.
    First,
    /// Same source, new sequence.
    Restart,
    /// Another SSRC.
    NewSource,
}

/// Counts since the receiver was made, over all sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverCounters {
    /// Packets that were accepted or late.
    pub packets: u64,
    /// Their payload bytes.
    pub payload_bytes: u64,
    /// Of these, the ones that were late.
    pub late: u64,
    /// Copies.
    pub duplicates: u64,
    /// Packets far from where the sequence stood.
    pub strays: u64,
    /// Packets of superseded sources.
    pub foreign: u64,
    /// Sequences that started anew.
    pub restarts: u64,
    /// Changes of SSRC.
    pub source_changes: u64,
    /// Timestamps that jumped while the sequence went on.
    pub ts_jumps: u64,
}

/// What a report block says of this source (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionReport {
    /// The source.
    pub ssrc: u32,
    /// Loss since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Expected less received since the source started; 24 bits, negative when copies came.
    pub lost: i32,
    /// Cycles and highest sequence number.
    pub highest_seq: u32,
    /// Interarrival jitter in clock units.
    pub jitter: u32,
}

impl ReceiverCounters {
    /// Nothing yet.
    pub(super) const ZERO: Self = Self {
        packets: 0,
        payload_bytes: 0,
        late: 0,
        duplicates: 0,
        strays: 0,
        foreign: 0,
        restarts: 0,
        source_changes: 0,
        ts_jumps: 0,
    };
}
