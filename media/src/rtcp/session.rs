//! When to report, what, and what the peer's reports tell (RFC 3550 6.2, 6.3, 6.4).

use std::time::Duration;

use super::xr::XR_BYTES_MAX;
use super::{
    CNAME_BYTES_MAX, Compound, Dlrr, ExtendedReport, Ntp, ReportBlock, RtcpError, RtcpPacket,
    SenderInfo, VoipMetrics, XrBlock, write,
};
use crate::rtp::{Receiver, Sender};
use crate::time::MonoTime;

/// Largest compound a session writes: SR with a block, SDES with the longest name, XR, BYE with the
/// longest reason.
pub const COMPOUND_BYTES_MAX: usize = 52 + 268 + XR_BYTES_MAX + 264;

/// Mean interval between reports (RFC 3550 6.2). Two parties with one telephone stream each stay
/// far below five percent of the bandwidth at this pace, so the size of reports and the number of
/// members do not enter.
const INTERVAL_MS: u64 = 5000;
/// Mean delay of the first report. A unicast session may report at once; a second of audio makes it
/// worth it.
const FIRST_MS: u64 = 1000;
/// Sender reports that are remembered to recognise the peer's answers.
const REMEMBERED_SRS: usize = 4;
/// Reports among which one tells how the peer sounds; the first and the last do.
const XR_EVERY_REPORTS: u64 = 2;
/// Milliseconds by which a peer may overstate how long it held our report.
const DLSR_SLACK_MS: u64 = 5;

/// One party of a two-party session: sends reports, reads the peer's.
///
/// Reports count only if they come from the source that RTP comes from; before any RTP, from the
/// first source that reports. The round trip counts only if the peer names a report that we sent.
#[derive(Debug)]
pub struct Session {
    ssrc: u32,
    cname: Box<str>,
    random: u64,
    next: MonoTime,
    closed: bool,
    /// Who reported before any RTP came.
    pinned: Option<u32>,
    last_sr: Option<LastSr>,
    /// The peer's last receiver reference time (RFC 3611 4.4).
    last_reference: Option<LastSr>,
    /// How the peer's speech sounds here; extended reports are sent while there is one.
    metrics: Option<VoipMetrics>,
    /// How ours sounds there, by the peer's last word.
    remote_metrics: Option<VoipMetrics>,
    /// Middle NTP bits of our last reports, and when they left; a ring.
    sent_srs: [Option<(u32, MonoTime)>; REMEMBERED_SRS],
    sent: usize,
    /// Packets we had sent at the last report and at the one before.
    packets_reported: [u32; 2],
    round_trip: Option<Duration>,
    remote: Option<RemoteReport>,
    counters: SessionCounters,
}

/// The peer's last sender report.
#[derive(Clone, Copy, Debug)]
struct LastSr {
    ssrc: u32,
    /// Middle bits of its NTP time.
    middle: u32,
    came: MonoTime,
}

/// What a session needs to know to write a report.
#[derive(Debug)]
pub struct SessionInput<'a> {
    /// The wall clock at `now`.
    pub ntp: Ntp,
    /// The stream we send.
    pub sender: &'a Sender,
    /// The clock of that stream.
    pub clock_hz: u32,
    /// The stream we hear.
    pub receiver: &'a mut Receiver,
}

/// What the peer last said of our stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteReport {
    /// When it said so.
    pub at: MonoTime,
    /// Loss since its report before, in 256ths.
    pub fraction_lost: u8,
    /// Packets it lost since the start.
    pub lost: i32,
    /// Jitter it sees, in units of our stream's clock.
    pub jitter: u32,
}

/// What a datagram of the peer meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// A report was taken in.
    Report,
    /// The source that we hear leaves.
    Bye,
    /// Of a source that is not the peer; ignored.
    Foreign,
}

/// Counts since the session was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Compounds written.
    pub sent: u64,
    /// Compounds of the peer.
    pub received: u64,
    /// Compounds of others.
    pub foreign: u64,
    /// Datagrams that are no RTCP.
    pub malformed: u64,
}

impl Session {
    /// A session of the stream `ssrc` that starts `now`. `cname` is cut to [`CNAME_BYTES_MAX`]
    /// bytes; make it random rather than telling (RFC 7022). `seed` spreads the reports of many
    /// sessions.
    pub fn new(now: MonoTime, ssrc: u32, cname: &str, seed: u64) -> Self {
        let cname = &cname[..cname.floor_char_boundary(CNAME_BYTES_MAX)];
        let mut session = Self {
            ssrc,
            cname: cname.into(),
            random: seed ^ u64::from(ssrc),
            next: now,
            closed: false,
            pinned: None,
            last_sr: None,
            last_reference: None,
            metrics: None,
            remote_metrics: None,
            sent_srs: [None; REMEMBERED_SRS],
            sent: 0,
            packets_reported: [0; 2],
            round_trip: None,
            remote: None,
            counters: SessionCounters::default(),
        };
        session.next = now + session.interval(FIRST_MS);
        session
    }

    /// When the next report is due; `None` after the goodbye.
    pub const fn deadline(&self) -> Option<MonoTime> {
        if self.closed { None } else { Some(self.next) }
    }

    /// Writes the report that is due to `out` and tells its length; `None` if none is due.
    ///
    /// # Errors
    ///
    /// [`RtcpError::NoRoom`] if `out` is too small ([`COMPOUND_BYTES_MAX`] always suffices).
    pub fn poll(
        &mut self,
        now: MonoTime,
        input: SessionInput<'_>,
        out: &mut [u8],
    ) -> Result<Option<usize>, RtcpError> {
        if self.closed || now < self.next {
            return Ok(None);
        }
        self.next = now + self.interval(INTERVAL_MS);
        self.report(now, input, out).map(Some)
    }

    /// Writes a last report and a goodbye, and tells their length. Nothing is due afterwards.
    ///
    /// # Errors
    ///
    /// [`RtcpError::NoRoom`] if `out` is too small, [`RtcpError::TooMany`] if the reason is longer
    /// than 255 bytes.
    pub fn close(
        &mut self,
        now: MonoTime,
        input: SessionInput<'_>,
        reason: &str,
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        self.closed = true;
        let len = self.report(now, input, out)?;
        let rest = out.get_mut(len..).unwrap_or_default();
        Ok(len + write::bye(rest, &[self.ssrc], reason)?)
    }

    /// Takes a datagram that came at `now` on the session's RTCP port, or on its RTP port by
    /// [`is_rtcp`](crate::rtp::is_rtcp). `source` is the SSRC of the RTP that is heard.
    ///
    /// # Errors
    ///
    /// An [`RtcpError`] that names why it is no RTCP; it is counted.
    pub fn handle(
        &mut self,
        now: MonoTime,
        source: Option<u32>,
        datagram: &[u8],
    ) -> Result<Handled, RtcpError> {
        let compound = Compound::parse(datagram).inspect_err(|_| self.counters.malformed += 1)?;
        let mut handled = Handled::Foreign;
        for packet in compound.packets() {
            match packet {
                RtcpPacket::SenderReport(report) if self.is_peer(source, report.info.ssrc) => {
                    handled = Handled::Report;
                    let SenderInfo { ssrc, ntp, .. } = report.info;
                    self.last_sr = Some(LastSr { ssrc, middle: ntp.middle(), came: now });
                    report.reports.iter().for_each(|block| self.heard(now, &block));
                }
                RtcpPacket::ReceiverReport(report) if self.is_peer(source, report.ssrc) => {
                    handled = Handled::Report;
                    report.reports.iter().for_each(|block| self.heard(now, &block));
                }
                RtcpPacket::ExtendedReport(report) if self.is_peer(source, report.ssrc) => {
                    self.heard_extended(now, &report);
                }
                RtcpPacket::Bye(bye)
                    if handled == Handled::Report
                        && bye.sources().any(|ssrc| self.is_peer(source, ssrc)) =>
                {
                    handled = Handled::Bye;
                }
                _ => {}
            }
        }
        if handled == Handled::Foreign {
            self.counters.foreign += 1;
        } else {
            self.counters.received += 1;
        }
        Ok(handled)
    }

    /// The last round trip to the peer, once it answered a report (RFC 3550 6.4.1).
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What the peer last said of our stream.
    pub const fn remote(&self) -> Option<&RemoteReport> {
        self.remote.as_ref()
    }

    /// How the peer's speech sounds here, for the next report; extended reports (RFC 3611) are sent
    /// from the first call on.
    pub const fn describe(&mut self, metrics: VoipMetrics) {
        self.metrics = Some(metrics);
    }

    /// How our speech sounds at the peer, if it says so.
    pub const fn remote_metrics(&self) -> Option<&VoipMetrics> {
        self.remote_metrics.as_ref()
    }

    /// Counts since the session was made.
    pub const fn counters(&self) -> &SessionCounters {
        &self.counters
    }

    /// True if `ssrc` is the peer. Without RTP the first to report is the peer from then on.
    fn is_peer(&mut self, source: Option<u32>, ssrc: u32) -> bool {
        match source {
            Some(source) => source == ssrc,
            None => *self.pinned.get_or_insert(ssrc) == ssrc,
        }
    }

    /// Takes what the peer says of a source, if that is ours.
    fn heard(&mut self, now: MonoTime, block: &ReportBlock) {
        if block.ssrc != self.ssrc {
            return;
        }
        self.remote = Some(RemoteReport {
            at: now,
            fraction_lost: block.fraction_lost,
            lost: block.lost,
            jitter: block.jitter,
        });
        self.answered(now, block.lsr, block.dlsr);
    }

    /// The peer names a report of ours and tells how long it held it.
    fn answered(&mut self, now: MonoTime, middle: u32, held: u32) {
        let sent = self.sent_srs.iter().flatten().find(|sent| sent.0 == middle);
        let Some(&(_, sent_at)) = sent.filter(|_| middle != 0) else { return };
        let held = Duration::from_nanos((u64::from(held) * 1_000_000_000) >> 16);
        let elapsed = now.since(sent_at);
        if held <= elapsed + Duration::from_millis(DLSR_SLACK_MS) {
            self.round_trip = Some(elapsed.saturating_sub(held));
        }
    }

    /// Takes what an extended report of the peer says of us.
    fn heard_extended(&mut self, now: MonoTime, report: &ExtendedReport<'_>) {
        for block in report.blocks() {
            match block {
                XrBlock::ReferenceTime(ntp) => {
                    let middle = ntp.middle();
                    self.last_reference = Some(LastSr { ssrc: report.ssrc, middle, came: now });
                }
                XrBlock::Dlrr(dlrr) if dlrr.ssrc == self.ssrc => {
                    self.answered(now, dlrr.lrr, dlrr.dlrr);
                }
                XrBlock::Voip(metrics) if metrics.ssrc == self.ssrc => {
                    self.remote_metrics = Some(metrics);
                }
                XrBlock::Dlrr(_) | XrBlock::Voip(_) => {}
            }
        }
    }

    /// Writes SR or RR, and SDES.
    fn report(
        &mut self,
        now: MonoTime,
        input: SessionInput<'_>,
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        let block = self.block(now, input.receiver);
        let blocks = block.as_slice();
        let packets = input.sender.packets();
        // Who sent nothing since the report before the last one is a receiver (RFC 3550 6.4).
        let sends = packets != self.packets_reported[1];
        let len = if sends {
            let info = SenderInfo {
                ssrc: self.ssrc,
                ntp: input.ntp,
                ts: input.sender.ts_at(now, input.clock_hz),
                packets,
                payload_bytes: input.sender.payload_bytes(),
            };
            write::sender_report(out, &info, blocks)?
        } else {
            write::receiver_report(out, self.ssrc, blocks)?
        };
        let rest = out.get_mut(len..).unwrap_or_default();
        let len = len + write::sdes(rest, self.ssrc, &self.cname)?;
        let rest = out.get_mut(len..).unwrap_or_default();
        let len = len + self.extended(now, input.ntp, sends, rest)?;
        if sends || self.metrics.is_some() {
            if let Some(slot) = self.sent_srs.get_mut(self.sent % REMEMBERED_SRS) {
                *slot = Some((input.ntp.middle(), now));
            }
            self.sent += 1;
        }
        self.packets_reported = [packets, self.packets_reported[0]];
        self.counters.sent += 1;
        Ok(len)
    }

    /// Writes the extended report, if such are sent: how the peer sounds, how long we held its
    /// reference time, and ours if no sender report has it.
    fn extended(
        &self,
        now: MonoTime,
        ntp: Ntp,
        sends: bool,
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        let Some(metrics) = &self.metrics else { return Ok(0) };
        let dlrr = self.last_reference.map(|last| Dlrr {
            ssrc: last.ssrc,
            lrr: last.middle,
            dlrr: held_units(now, last.came),
        });
        let heard = self.counters.sent.is_multiple_of(XR_EVERY_REPORTS) || self.closed;
        let voip = Some(metrics).filter(|metrics| heard && metrics.ssrc != 0);
        let reference = Some(ntp).filter(|_| !sends);
        if voip.is_none() && dlrr.is_none() && reference.is_none() {
            return Ok(0);
        }
        write::extended_report(out, self.ssrc, reference, dlrr, voip)
    }

    /// What we heard, if we heard anything.
    fn block(&self, now: MonoTime, receiver: &mut Receiver) -> Option<ReportBlock> {
        let report = receiver.report()?;
        let last_sr = self.last_sr.filter(|last| last.ssrc == report.ssrc);
        let (lsr, dlsr) = last_sr.map_or((0, 0), |last| (last.middle, held_units(now, last.came)));
        Some(ReportBlock {
            ssrc: report.ssrc,
            fraction_lost: report.fraction_lost,
            lost: report.lost,
            highest_seq: report.highest_seq,
            jitter: report.jitter,
            lsr,
            dlsr,
        })
    }

    /// A random interval around `mean_ms`: a half to one and a half of it, and shorter by the
    /// factor that makes up for reconsideration (RFC 3550 6.3.1).
    fn interval(&mut self, mean_ms: u64) -> Duration {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let mean_us = mean_ms * 1000;
        let spread_us = mean_us / 2 + mixed % mean_us;
        Duration::from_micros(spread_us * 100_000 / COMPENSATION_X100000)
    }
}

/// Time since `came` in 2^-16 s.
fn held_units(now: MonoTime, came: MonoTime) -> u32 {
    let held = (now.since(came).as_nanos() << 16) / 1_000_000_000;
    u32::try_from(held).unwrap_or(u32::MAX)
}

/// e - 3/2 (RFC 3550 6.3.1).
const COMPENSATION_X100000: u64 = 121_828;

#[cfg(test)]
mod tests;
