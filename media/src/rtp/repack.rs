//! Audio cut into packets of another length, for a far end that wants other ones.

use crate::codec::AudioFormat;

/// Longest packet that is cut, in milliseconds.
const FRAME_MAX_MS: u32 = 60;

/// Where a piece stands behind the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Ticks of the clock that nothing was heard for.
    pub gap_ticks: u32,
    /// Packets of its length that were lost in the gap.
    pub lost: u16,
    /// It begins a talkspurt.
    pub marker: bool,
}

/// A packet of audio that is to be cut.
#[derive(Clone, Copy, Debug)]
pub struct Uncut<'a> {
    /// Media time at which it begins, on a timeline that never wraps.
    pub ext_ts: u64,
    /// Something was lost before it.
    pub after_loss: bool,
    /// It begins a talkspurt.
    pub marker: bool,
    /// Its audio.
    pub payload: &'a [u8],
}

/// Cuts a stream of audio into packets of one length. What does not fill a packet waits for more;
/// over a gap it leaves as it is, so that what was said stands in its place.
///
/// The audio must be of a codec whose payloads can be cut. Packets are to come in order.
#[derive(Debug)]
pub struct Repack {
    format: AudioFormat,
    /// What waits; never as much as a packet.
    waiting: Box<[u8]>,
    length: usize,
    /// Media time at which it ends.
    end_ts: Option<u64>,
    /// What is known of the piece that is being filled.
    next: Piece,
}

impl Repack {
    /// Cuts audio of `format`.
    pub fn new(format: AudioFormat) -> Self {
        Self {
            format,
            waiting: vec![0; format.bytes(FRAME_MAX_MS)].into(),
            length: 0,
            end_ts: None,
            next: NO_GAP,
        }
    }

    /// True while audio waits for more.
    pub const fn is_waiting(&self) -> bool {
        self.length > 0
    }

    /// True once something has come that the next packet follows.
    pub const fn has_begun(&self) -> bool {
        self.end_ts.is_some()
    }

    /// Drops what waits; the stream goes on as if nothing had come before.
    pub const fn reset(&mut self) {
        (self.length, self.end_ts, self.next) = (0, None, NO_GAP);
    }

    /// Something was sent whole, past what is cut: what comes next follows it.
    pub fn passed(&mut self, ext_ts: u64, payload: &[u8]) {
        let end = ext_ts + u64::from(self.format.payload_ticks(payload));
        self.end_ts = self.end_ts.map(|last| last.max(end));
    }

    /// Takes a packet, and gives packets of `ptime_ms` to `sink` as they are full.
    pub fn push(&mut self, ptime_ms: u32, packet: Uncut<'_>, mut sink: impl FnMut(&Piece, &[u8])) {
        let Uncut { ext_ts, after_loss, marker, payload } = packet;
        let ticks = self.format.ticks(ptime_ms).max(1);
        let bytes = self.format.bytes(ptime_ms).clamp(1, self.waiting.len());
        let gap = self.end_ts.map_or(0, |end| ext_ts.saturating_sub(end));
        if gap > 0 || marker {
            self.flush(&mut sink);
        }
        if gap > 0 {
            let gap_ticks = u32::try_from(gap).unwrap_or(u32::MAX);
            let lost = if after_loss { (gap_ticks + ticks / 2) / ticks } else { 0 };
            self.next.gap_ticks = gap_ticks;
            self.next.lost = u16::try_from(lost).unwrap_or(u16::MAX);
        }
        self.next.marker |= marker || (gap > 0 && !after_loss);
        self.end_ts = Some(ext_ts + u64::from(self.format.payload_ticks(payload)));
        let mut rest = payload;
        while !rest.is_empty() {
            let room = bytes.saturating_sub(self.length);
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            if let Some(waiting) = self.waiting.get_mut(self.length..self.length + now.len()) {
                waiting.copy_from_slice(now);
            }
            self.length += now.len();
            rest = later;
            if self.length >= bytes {
                self.flush(&mut sink);
            }
        }
    }

    /// Gives what waits to `sink`, however short it is.
    fn flush(&mut self, sink: &mut impl FnMut(&Piece, &[u8])) {
        let piece = std::mem::replace(&mut self.next, NO_GAP);
        match self.waiting.get(..std::mem::take(&mut self.length)) {
            None | Some([]) => self.next = piece,
            Some(payload) => sink(&piece, payload),
        }
    }
}

/// A piece that follows the one before at once.
const NO_GAP: Piece = Piece { gap_ticks: 0, lost: 0, marker: false };

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces that come of packets of `from_ms`, at these media times, cut to `to_ms`.
    fn cut(to_ms: u32, packets: &[(u64, bool, bool, Vec<u8>)]) -> Vec<(Piece, Vec<u8>)> {
        let mut repack = Repack::new(AudioFormat::PCMU);
        let mut pieces = Vec::new();
        for (ext_ts, after_loss, marker, payload) in packets {
            let packet =
                Uncut { ext_ts: *ext_ts, after_loss: *after_loss, marker: *marker, payload };
            repack.push(to_ms, packet, |piece, payload| pieces.push((*piece, payload.to_vec())));
        }
        pieces
    }

    /// From every length to every other: the same bytes in the same order, in whole packets, and
    /// what waits is less than one.
    #[test]
    fn nothing_is_lost_or_moved() {
        let sound: Vec<u8> = (0..9_600_u32).map(|n| ((n * n) >> 7) as u8).collect();
        for from_ms in [10, 20, 30, 40, 60, 120] {
            for to_ms in [10, 20, 30, 40, 60] {
                let bytes = from_ms * 8;
                let packets: Vec<_> = sound
                    .chunks(bytes)
                    .enumerate()
                    .map(|(n, chunk)| ((n * bytes) as u64, false, false, chunk.to_vec()))
                    .collect();
                let pieces = cut(to_ms, &packets);
                let whole = to_ms as usize * 8;
                let uniform = |(piece, payload): &(Piece, Vec<u8>)| {
                    *piece == NO_GAP && payload.len() == whole
                };
                assert!(pieces.iter().all(uniform), "{from_ms} to {to_ms}");
                let heard: Vec<u8> = pieces.into_iter().flat_map(|(_, payload)| payload).collect();
                assert!(sound.starts_with(&heard) && sound.len() - heard.len() < whole);
            }
        }
    }

    /// What was sent whole in between is no gap.
    #[test]
    fn what_passes_whole_is_followed() {
        let mut repack = Repack::new(AudioFormat::PCMU);
        let mut pieces = Vec::new();
        repack.passed(0, &[1; 160]);
        assert!(!repack.has_begun());
        for (ext_ts, bytes) in [(0, 320), (640, 320)] {
            let payload = &vec![1; bytes][..];
            let packet = Uncut { ext_ts, after_loss: false, marker: false, payload };
            repack.push(20, packet, |piece, payload| pieces.push((*piece, payload.len())));
            repack.passed(ext_ts + 320, &[1; 160]);
            repack.passed(ext_ts + 480, &[1; 160]);
            // Late.
            repack.passed(ext_ts, &[1; 160]);
        }
        assert_eq!(pieces, [(NO_GAP, 160); 4]);
    }

    /// A loss lets go what waits, and is told in packets of the new length; a pause is told as the
    /// beginning of a talkspurt and loses nothing.
    #[test]
    fn gaps_stay_in_their_place() {
        let packet = |ext_ts, after_loss| (ext_ts, after_loss, false, vec![1; 240]);
        let pieces = cut(20, &[packet(0, false), packet(480, true), packet(4_720, false)]);
        let told: Vec<_> = pieces
            .iter()
            .map(|(piece, payload)| (piece.gap_ticks, piece.lost, piece.marker, payload.len()))
            .collect();
        let expected = [
            (0, 0, false, 160),
            (0, 0, false, 80),
            (240, 2, false, 160),
            (0, 0, false, 80),
            (4_000, 0, true, 160),
        ];
        assert_eq!(told, expected);
    }

    /// A talkspurt begins a packet; timestamps that lag a little do not tear the stream apart.
    #[test]
    fn talkspurts_begin_packets() {
        let first = (0, false, true, vec![1; 240]);
        let lags = (230, false, false, vec![2; 240]);
        let pieces = cut(20, &[first, lags, (480, false, true, vec![3; 160])]);
        let told: Vec<_> = pieces.iter().map(|(piece, p)| (piece.marker, p.len())).collect();
        assert_eq!(told, [(true, 160), (false, 160), (false, 160), (true, 160)]);
        assert_eq!(pieces[1].1[79..81], [1, 2]);
    }
}
