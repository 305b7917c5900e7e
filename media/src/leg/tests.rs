//! What becomes of a leg's digits when something else is settled.

use super::*;

fn config(ptime_ms: u32, dtmf_pt: Option<u8>) -> LegConfig {
    LegConfig {
        audio: AudioFormat::PCMU,
        pt: 0,
        receive_pt: 0,
        dtmf_pt,
        receive_dtmf_pt: Some(101),
        cn_pt: None,
        ptime_ms,
        opus: opus::Settings::default(),
    }
}

fn leg(ptime_ms: u32) -> Leg {
    let start = StreamStart { ssrc: 1, seq: 10, ts: 0, seed: 3 };
    Leg::new(MonoTime::ZERO, config(ptime_ms, Some(101)), start)
}

/// What is heard of digits, each 205 ms long, if packets are `after_ms` long from a tick on.
fn heard((before_ms, after_ms): (u32, u32), at_tick: u32) -> Vec<(char, u32)> {
    let (mut from, mut to) = (leg(before_ms), leg(20));
    from.send_digits("58", Some(205), Some(60)).unwrap();
    let (mut now, mut ptime_ms) = (MonoTime::ZERO, before_ms);
    let mut heard = Vec::new();
    for tick in 0.. {
        if tick == at_tick {
            ptime_ms = after_ms;
            from.reconfigure(config(ptime_ms, Some(101)));
        }
        let mut out = [0; HEADER_BYTES + EVENT_BYTES];
        let Some(length) = from.write_event(&mut out) else { break };
        if length > 0 {
            assert!(matches!(to.receive(now, &out[..length]), Heard::Event(_)));
        }
        let pressed = std::iter::from_fn(|| to.poll_digit(now));
        heard.extend(pressed.map(|pressed| (pressed.digit.as_char(), pressed.duration_ms)));
        now += Duration::from_millis(ptime_ms.into());
    }
    heard
}

/// Digits under way go on when packets of another length are settled, be it in the middle of one,
/// in the copies of its end or in its gap: each is heard once, and lasts as long as it was meant
/// to.
#[test]
fn digits_go_on_over_another_ptime() {
    for ptimes in [(20, 40), (20, 10), (30, 20), (20, 20)] {
        for at_tick in 0..40 {
            let want = [('5', 205), ('8', 205)];
            assert_eq!(heard(ptimes, at_tick), want, "{ptimes:?} at {at_tick}");
        }
    }
}

/// Of a peer that takes no digits any more none are left, and another peer gets none of those that
/// were for the one before.
#[test]
fn digits_that_nobody_takes_are_dropped() {
    let mut no_more = leg(20);
    no_more.send_digits("58", None, None).unwrap();
    no_more.reconfigure(config(20, None));
    assert!(!no_more.sends_digits());
    let mut other = leg(20);
    other.send_digits("58", None, None).unwrap();
    assert!(other.write_event(&mut [0; HEADER_BYTES + EVENT_BYTES]).is_some());
    other.forget_digits();
    assert!(!other.sends_digits());
    assert_eq!(other.write_event(&mut [0; HEADER_BYTES + EVENT_BYTES]), None);
}
