//! Formats and frames.

use super::*;

/// The table of codecs decides which formats exist.
#[test]
fn codecs_come_from_their_table() {
    assert_eq!(codecs::find("PCMU", None), Ok(AudioFormat::PCMU));
    assert_eq!(codecs::find("pcma", Some(8000)), Ok(AudioFormat::PCMA));
    for rate_hz in [8000, 16_000, 24_000, 48_000] {
        assert_eq!(codecs::find("l16le", Some(rate_hz)), Ok(AudioFormat::l16le(rate_hz)));
    }
    for (name, rate_hz) in [
        ("G722", Some(8000)),
        ("opus", Some(48_000)),
        ("l16le", None),
        ("l16le", Some(11_025)),
        ("PCMU", Some(16_000)),
    ] {
        assert!(matches!(codecs::find(name, rate_hz), Err(WireError::UnknownCodec(_))), "{name}");
    }
    let Err(WireError::UnknownCodec(shown)) = codecs::find(&"ä".repeat(60_000), None) else {
        panic!("refused")
    };
    assert!(shown.len() < 100, "an error does not repeat what was sent at length");
    assert_eq!(codecs::find("g722", None), Ok(AudioFormat::G722));
    assert_eq!(codecs::payload_type(AudioFormat::l16le(48_000)), 96);
}

/// An agent without a wish gets the caller's own codec, linear samples in the order agents speak.
#[test]
fn formats_follow_the_caller_or_the_wish() {
    let dialect = NativeDialect::new(&info());
    let caller = StreamFormat { audio: AudioFormat::PCMA, ptime_ms: 30 };
    assert_eq!(dialect.formats(None, caller), (caller, caller));
    let wide = StreamFormat { audio: AudioFormat::l16be(16_000), ptime_ms: 20 };
    let expected = StreamFormat { audio: AudioFormat::l16le(16_000), ptime_ms: 20 };
    assert_eq!(dialect.formats(None, wide), (expected, expected));
    let wished = StreamFormat { audio: AudioFormat::l16le(24_000), ptime_ms: 20 };
    let expected = StreamFormat { ptime_ms: 30, ..wished };
    assert_eq!(dialect.formats(Some(wished), caller), (expected, expected));
}

pub(super) fn audio_of(dialect: &mut NativeDialect, message: &[u8]) -> Result<Vec<u8>, WireError> {
    match dialect.read(MessageKind::Binary, &mut message.to_vec())? {
        AgentInput::Audio(audio) => Ok(audio.to_vec()),
        other => panic!("{other:?}"),
    }
}

/// A frame towards the agent has the header of RFC 3550 in network order.
#[test]
fn frames_are_written_as_rtp() {
    let mut out = Vec::new();
    let frame = AgentFrame { seq: 0x0102, ts: 0x0304_0506, marker: true, payload: &[9, 8] };
    let kind =
        NativeDialect::new(&StreamInfo { stream: 0xa1b2_c3d4, ..info() }).audio(&frame, &mut out);
    assert_eq!(kind, MessageKind::Binary);
    assert_eq!(out, [0x80, 0x80, 1, 2, 3, 4, 5, 6, 0xa1, 0xb2, 0xc3, 0xd4, 9, 8]);
}

/// What is not a frame of this stream is refused with the reason; marker, sequence and timestamp do
/// not matter, and any number of whole samples does, none and 64 KiB included.
#[test]
fn frames_are_read_tolerantly_but_not_blindly() {
    let mut dialect = NativeDialect::new(&info());
    let good = [0x80, 0x80, 0xff, 0xff, 1, 2, 3, 4, 0, 0, 0, 7, 5, 6];
    assert_eq!(audio_of(&mut dialect, &good), Ok(vec![5, 6]));
    assert_eq!(audio_of(&mut dialect, &good[..12]), Ok(vec![]));
    for length in 0..12 {
        let cut = audio_of(&mut dialect, &good[..length]);
        assert!(matches!(cut, Err(WireError::BadFrame(_))), "{length}");
    }
    for (position, byte) in [(0, 0x40), (0, 0x90), (0, 0xa0), (0, 0x81), (1, 8), (11, 8), (8, 1)] {
        let mut wrong = good;
        wrong[position] = byte;
        let read = audio_of(&mut dialect, &wrong);
        assert!(matches!(read, Err(WireError::BadFrame(_))), "{position} {byte}");
    }
    let mut longest = [&good[..12], &vec![1; MESSAGE_MAX_BYTES]].concat();
    assert_eq!(audio_of(&mut dialect, &longest).map(|audio| audio.len()), Ok(MESSAGE_MAX_BYTES));
    longest.push(1);
    assert!(audio_of(&mut dialect, &longest).is_err());
}

/// From `configured` on, and not before, both directions go by the new formats and framing.
#[test]
fn configured_changes_both_directions() {
    let mut dialect = NativeDialect::new(&info());
    let wide = StreamFormat { audio: AudioFormat::l16le(16_000), ptime_ms: 20 };
    let configured =
        StreamInfo { to_agent: wide, from_agent: wide, framing: Framing::Raw, ..info() };
    let rtp = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 5];
    assert_eq!(audio_of(&mut dialect, &rtp), Ok(vec![5]));
    let mut sent = Sent::default();
    dialect.event(&AgentEvent::Configured { info: &configured, wants: &[] }, &mut sent);
    assert_eq!(audio_of(&mut dialect, &[1, 2]), Ok(vec![1, 2]));
    assert_eq!(audio_of(&mut dialect, &[1, 2, 3]), Err(WireError::BadFrame("not whole samples")));
    let mut out = Vec::new();
    let frame = AgentFrame { seq: 1, ts: 2, marker: false, payload: &[3, 4] };
    dialect.audio(&frame, &mut out);
    assert_eq!(out, [3, 4]);
    let framed = StreamInfo { framing: Framing::Rtp, ..configured };
    dialect.event(&AgentEvent::Configured { info: &framed, wants: &[] }, &mut sent);
    out.clear();
    dialect.audio(&frame, &mut out);
    assert_eq!(out[1], 96);
}
