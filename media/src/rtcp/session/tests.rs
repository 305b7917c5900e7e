//! Sessions against each other and against strangers.

use super::*;
use crate::rtcp::SenderReport;
use crate::rtp::{HEADER_BYTES, Packet};

const UNIX_S: u64 = 1_700_000_000;

fn at(ms: u64) -> MonoTime {
    MonoTime::from_nanos(ms * 1_000_000)
}

/// One end of a call, whose wall clock is off by `skew_ms`.
struct Party {
    session: Session,
    sender: Sender,
    receiver: Receiver,
    skew_ms: u64,
}

impl Party {
    fn new(ssrc: u32, skew_ms: u64) -> Self {
        Self {
            session: Session::new(at(0), ssrc, "name", 1),
            sender: Sender::new(ssrc, 100, 5000),
            receiver: Receiver::new(8000),
            skew_ms,
        }
    }

    fn ntp(&self, ms: u64) -> Ntp {
        Ntp::from_unix(Duration::from_millis(UNIX_S * 1000 + ms + self.skew_ms))
    }

    fn poll(&mut self, ms: u64) -> Option<Vec<u8>> {
        let mut out = [0; COMPOUND_BYTES_MAX];
        let ntp = self.ntp(ms);
        let Self { session, sender, receiver, .. } = self;
        let input = SessionInput { ntp, sender, clock_hz: 8000, receiver };
        let len = session.poll(at(ms), input, &mut out).unwrap()?;
        Some(out[..len].to_vec())
    }

    fn close(&mut self, ms: u64) -> Vec<u8> {
        let mut out = [0; COMPOUND_BYTES_MAX];
        let ntp = self.ntp(ms);
        let Self { session, sender, receiver, .. } = self;
        let input = SessionInput { ntp, sender, clock_hz: 8000, receiver };
        let len = session.close(at(ms), input, "bye", &mut out).unwrap();
        out[..len].to_vec()
    }

    fn handle(&mut self, ms: u64, bytes: &[u8]) -> Result<Handled, RtcpError> {
        self.session.handle(at(ms), self.receiver.ssrc(), bytes)
    }

    fn send(&mut self, ms: u64) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        self.sender.write(at(ms), &mut out, 0, 0, 160);
        out
    }

    fn hear(&mut self, ms: u64, bytes: &[u8]) {
        self.receiver.receive(at(ms), &Packet::parse(bytes).unwrap());
    }
}

fn sender_report(bytes: &[u8]) -> Option<SenderReport<'_>> {
    match Compound::parse(bytes).unwrap().packets().next()? {
        RtcpPacket::SenderReport(report) => Some(report),
        _ => None,
    }
}

/// Two parties, 30 and 50 ms apart, one clock a year ahead: both measure 80 ms within the
/// resolution of the field, and each knows what the other lost.
#[test]
fn measures_the_round_trip() {
    let (mut a, mut b) = (Party::new(1, 0), Party::new(2, 31_536_000_000));
    let mut to_a: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut to_b: Vec<(u64, Vec<u8>)> = Vec::new();
    for ms in 0..20_000 {
        if ms % 20 == 0 {
            let packet = a.send(ms);
            if ms % 80 != 0 {
                b.hear(ms + 30, &packet);
            }
            let packet = b.send(ms);
            a.hear(ms + 50, &packet);
        }
        to_b.extend(a.poll(ms).map(|bytes| (ms + 30, bytes)));
        to_a.extend(b.poll(ms).map(|bytes| (ms + 50, bytes)));
        while let Some((_, bytes)) = to_a.pop_if(|(due, _)| *due <= ms) {
            assert_eq!(a.handle(ms, &bytes), Ok(Handled::Report));
        }
        while let Some((_, bytes)) = to_b.pop_if(|(due, _)| *due <= ms) {
            assert_eq!(b.handle(ms, &bytes), Ok(Handled::Report));
        }
    }
    for party in [&a, &b] {
        let round_trip = party.session.round_trip().unwrap();
        let off = round_trip.abs_diff(Duration::from_millis(80));
        assert!(off < Duration::from_micros(50), "{round_trip:?}");
    }
    let heard = a.session.remote().unwrap();
    assert!(heard.fraction_lost.abs_diff(64) <= 1 && heard.lost > 100, "{heard:?}");
    assert_eq!(b.session.remote().unwrap().lost, 0);
}

/// The first report comes early, the others at 5 s / 1.21828 in the mean, between a half and one
/// and a half of that (RFC 3550 6.3.1); two seeds do not beat together.
#[test]
fn keeps_the_pace() {
    let mut intervals = Vec::new();
    for seed in 0..200 {
        let mut party = Party::new(seed as u32, 0);
        party.session = Session::new(at(0), seed as u32, "name", seed * 77);
        let mut last = party.session.deadline().unwrap();
        assert!((at(410)..at(1232)).contains(&last), "{last:?}");
        for _ in 0..20 {
            let ms = last.as_nanos().div_ceil(1_000_000);
            assert!(party.poll(ms).is_some());
            assert!(party.poll(ms).is_none());
            let next = party.session.deadline().unwrap();
            intervals.push(next.since(at(ms)).as_secs_f64());
            last = next;
        }
    }
    let mean = intervals.iter().sum::<f64>() / intervals.len() as f64;
    assert!((mean - 5.0 / 1.21828).abs() < 0.05, "{mean}");
    assert!(intervals.iter().all(|s| (2.05..6.16).contains(s)));
    let distinct: std::collections::HashSet<_> = intervals.iter().map(|s| s.to_bits()).collect();
    assert!(distinct.len() > intervals.len() * 9 / 10);
}

/// Who sends is a sender, ties its media time to the clock, and turns receiver two reports after it
/// fell silent.
#[test]
fn sender_turns_receiver() {
    let mut party = Party::new(1, 0);
    party.send(0);
    let first = party.poll(1500).unwrap();
    let report = sender_report(&first).unwrap();
    assert_eq!((report.info.ssrc, report.info.packets), (1, 1));
    assert_eq!(report.info.ntp, party.ntp(1500));
    assert_eq!(report.info.ts, 5000 + 1500 * 8);
    assert_eq!(report.reports.iter().count(), 0);
    assert!(sender_report(&party.poll(8000).unwrap()).is_some());
    assert!(sender_report(&party.poll(15_000).unwrap()).is_none());
    party.send(15_001);
    assert!(sender_report(&party.poll(22_000).unwrap()).is_some());
}

/// Reports of strangers, about strangers, or that name a report we did not send change nothing.
#[test]
fn strangers_change_nothing() {
    let mut party = Party::new(1, 0);
    party.hear(0, &Party::new(2, 0).send(0));
    party.send(0);
    let sent = party.poll(1500).unwrap();
    let lsr = sender_report(&sent).unwrap().info.ntp.middle();
    let mut out = [0; 64];
    let mut report = |from, ssrc, lsr, dlsr| {
        let block = ReportBlock { ssrc, fraction_lost: 9, lsr, dlsr, ..ReportBlock::default() };
        let len = write::receiver_report(&mut out, from, &[block]).unwrap();
        out[..len].to_vec()
    };
    assert_eq!(party.handle(1600, &report(3, 1, lsr, 0)), Ok(Handled::Foreign));
    assert_eq!(party.handle(1600, &report(2, 4, lsr, 0)), Ok(Handled::Report));
    assert!(party.session.remote().is_none());
    for (lsr, dlsr) in [(lsr + 1, 0), (0, 0), (lsr, 65_536)] {
        assert_eq!(party.handle(1600, &report(2, 1, lsr, dlsr)), Ok(Handled::Report));
        assert_eq!(party.session.round_trip(), None, "{lsr} {dlsr}");
    }
    assert_eq!(party.session.remote().unwrap().fraction_lost, 9);
    assert_eq!(party.handle(1600, &report(2, 1, lsr, 655)), Ok(Handled::Report));
    let round_trip = party.session.round_trip().unwrap();
    assert!(round_trip.abs_diff(Duration::from_millis(90)) < Duration::from_micros(50));
    let counters = *party.session.counters();
    assert_eq!((counters.sent, counters.received, counters.foreign), (1, 5, 1));
    assert!(party.handle(1600, &[0x80, 0]).is_err());
    assert_eq!(party.session.counters().malformed, 1);
}

/// Before any RTP the first to report is the peer; once RTP comes, its source is.
#[test]
fn pins_the_first_to_report() {
    let mut party = Party::new(1, 0);
    let mut out = [0; 64];
    let mut empty = |from| {
        let len = write::receiver_report(&mut out, from, &[]).unwrap();
        out[..len].to_vec()
    };
    assert_eq!(party.handle(0, &empty(7)), Ok(Handled::Report));
    assert_eq!(party.handle(0, &empty(8)), Ok(Handled::Foreign));
    party.hear(0, &Party::new(8, 0).send(0));
    assert_eq!(party.handle(0, &empty(7)), Ok(Handled::Foreign));
    assert_eq!(party.handle(0, &empty(8)), Ok(Handled::Report));
}

/// A goodbye of the peer is told, one in another's name is not; after ours nothing is due.
#[test]
fn says_and_hears_goodbye() {
    let (mut a, mut b) = (Party::new(1, 0), Party::new(2, 0));
    b.hear(0, &a.send(0));
    let mut bytes = a.close(700);
    assert_eq!((a.session.deadline(), a.poll(60_000)), (None, None));
    assert_eq!(b.handle(701, &bytes), Ok(Handled::Bye));
    let source = bytes.len() - 5;
    bytes[source] = 9;
    assert_eq!(b.handle(702, &bytes), Ok(Handled::Report));
}

/// LSR is of the source that the block is about: a new source has none yet.
#[test]
fn a_new_source_has_no_last_report() {
    let (mut a, mut b) = (Party::new(1, 0), Party::new(2, 0));
    b.hear(0, &a.send(0));
    let bytes = a.poll(1500).unwrap();
    b.handle(1500, &bytes).unwrap();
    let block = b.session.block(at(2500), &mut b.receiver).unwrap();
    assert_eq!((block.lsr, block.dlsr), (a.ntp(1500).middle(), 65_536));
    b.hear(1600, &Party::new(3, 0).send(0));
    let block = b.session.block(at(2500), &mut b.receiver).unwrap();
    assert_eq!((block.ssrc, block.lsr, block.dlsr), (3, 0, 0));
}

/// The largest compound fits the constant exactly; a name that is too long is cut between
/// characters.
#[test]
fn knows_its_largest_compound() {
    let mut party = Party::new(1, 0);
    party.session = Session::new(at(0), 1, &"é".repeat(200), 1);
    assert_eq!(party.session.cname.len(), 254);
    party.session = Session::new(at(0), 1, &"x".repeat(300), 1);
    party.hear(0, &Party::new(2, 0).send(0));
    party.send(0);
    party.session.describe(VoipMetrics::unknown(2));
    party.session.last_reference = Some(LastSr { ssrc: 2, middle: 1, came: at(0) });
    let mut out = [0; COMPOUND_BYTES_MAX];
    let ntp = party.ntp(0);
    let Party { session, sender, receiver, .. } = &mut party;
    let input = SessionInput { ntp, sender, clock_hz: 8000, receiver };
    let reason = "r".repeat(255);
    assert_eq!(session.close(at(0), input, &reason, &mut out), Ok(COMPOUND_BYTES_MAX));
}

/// Zero in a block says that no report came, even if ours left at a time whose middle bits are
/// zero.
#[test]
fn no_last_report_is_no_round_trip() {
    let mut party = Party::new(1, 0);
    party.send(0);
    let mut out = [0; COMPOUND_BYTES_MAX];
    let Party { session, sender, receiver, .. } = &mut party;
    let input = SessionInput { ntp: Ntp::default(), sender, clock_hz: 8000, receiver };
    session.poll(at(1500), input, &mut out).unwrap().unwrap();
    let block = ReportBlock { ssrc: 1, ..ReportBlock::default() };
    let len = write::receiver_report(&mut out, 2, &[block]).unwrap();
    assert_eq!(party.handle(1600, &out[..len]), Ok(Handled::Report));
    assert_eq!(party.session.round_trip(), None);
}

/// A party that sends no audio learns the round trip all the same, by reference time and DLRR, and
/// both learn how they sound at the other.
#[test]
fn extended_reports_tell_round_trip_and_quality() {
    let (mut talker, mut listener) = (Party::new(1, 0), Party::new(2, 5_000));
    for (party, of) in [(&mut talker, 2), (&mut listener, 1)] {
        party.session.describe(VoipMetrics { r_factor: 80, ..VoipMetrics::unknown(of) });
    }
    let mut extended = 0;
    for ms in 0..30_000 {
        if ms % 20 == 0 {
            let packet = talker.send(ms);
            listener.hear(ms, &packet);
        }
        if let Some(bytes) = talker.poll(ms) {
            listener.handle(ms, &bytes).unwrap();
        }
        if let Some(bytes) = listener.poll(ms) {
            let compound = Compound::parse(&bytes).unwrap();
            extended +=
                compound.packets().filter(|p| matches!(p, RtcpPacket::ExtendedReport(_))).count();
            talker.handle(ms, &bytes).unwrap();
        }
    }
    assert!(extended >= 4, "a listener tells its time with every report");
    assert!(listener.session.round_trip().unwrap() < Duration::from_micros(100));
    assert_eq!(talker.session.remote_metrics().unwrap().r_factor, 80);
    assert_eq!(listener.session.remote_metrics().unwrap().r_factor, 80);
    assert_eq!(talker.session.remote_metrics().unwrap().mos(), None);
}

/// Extended reports of strangers and about strangers count for nothing.
#[test]
fn extended_reports_of_strangers_do_not_count() {
    let mut party = Party::new(1, 0);
    let mut bytes = [0; 200];
    let rr = write::receiver_report(&mut bytes, 2, &[]).unwrap();
    for (from, about, counts) in [(3, 1, false), (2, 9, false), (2, 1, true)] {
        let metrics = VoipMetrics::unknown(about);
        let xr = write::extended_report(&mut bytes[rr..], from, None, None, Some(&metrics));
        party.handle(1, &bytes[..rr + xr.unwrap()]).unwrap();
        assert_eq!(party.session.remote_metrics().is_some(), counts, "{from} {about}");
    }
}
