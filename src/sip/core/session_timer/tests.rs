use bytes::Bytes;

use super::*;

const CONFIG: TimerConfig = TimerConfig { interval_s: 1800, min_s: 120 };

fn at(seconds: u64) -> MonoTime {
    MonoTime::ZERO + Duration::from_secs(seconds)
}

fn terms(lines: &str) -> Terms {
    let text = format!("UPDATE sip:a@b SIP/2.0\r\n{lines}\r\n");
    Terms::read(&Message::parse(Bytes::from(text)).unwrap())
}

fn fields(headers: impl IntoIterator<Item = (HeaderName, String)>) -> String {
    let lines = headers.into_iter().map(|(name, value)| format!("{name}: {value}"));
    lines.collect::<Vec<_>>().join("|")
}

/// What messages say, in short forms and with faults.
#[test]
fn terms_of_messages() {
    let (uac, uas) = (Some(Refresher::Uac), Some(Refresher::Uas));
    for (lines, supported, interval_s, refresher, min_s) in [
        ("", false, None, None, 0),
        ("k: 100rel, Timer\r\nx: 1800\r\n", true, Some(1800), None, 0),
        ("Require: timer\r\nSession-Expires: 90 ; Refresher=UAS\r\n", true, Some(90), uas, 0),
        ("Session-Expires: 300;x=y;refresher=uac\r\nMin-SE: 200;z\r\n", false, Some(300), uac, 200),
        ("Session-Expires: 300;refresher=me\r\n", false, Some(300), None, 0),
        ("Session-Expires: -1\r\nMin-SE: 9x\r\n", false, None, None, 0),
        ("Session-Expires: 99999999999\r\n", false, Some(u32::MAX), None, 0),
        ("Session-Expires: ;refresher=uac\r\nSupported: timers\r\n", false, None, None, 0),
        ("Session-Expires: 300;refresher=\r\n", false, Some(300), None, 0),
    ] {
        let expected = Terms { supported, interval_s, refresher, min_s };
        assert_eq!(terms(lines), expected, "{lines}");
    }
}

/// Every row of RFC 4028 table 2, intervals that are cut, raised by Min-SE, left out, too short.
#[test]
fn grants() {
    const BOTH: &str = "Require: timer|Session-Expires: ";
    for (asked, expected) in [
        ("", None),
        ("x: 600\r\n", Some("Session-Expires: 600;refresher=uas".to_owned())),
        ("x: 600;refresher=uac\r\n", Some("Session-Expires: 600;refresher=uas".to_owned())),
        ("k: timer\r\n", Some(format!("{BOTH}1800;refresher=uac"))),
        ("k: timer\r\nMin-SE: 3600\r\n", Some(format!("{BOTH}3600;refresher=uac"))),
        ("k: timer\r\nx: 600\r\n", Some(format!("{BOTH}600;refresher=uac"))),
        ("k: timer\r\nx: 120;refresher=uac\r\n", Some(format!("{BOTH}120;refresher=uac"))),
        ("k: timer\r\nx: 600;refresher=uas\r\n", Some("Session-Expires: 600;refresher=uas".into())),
        ("k: timer\r\nx: 9000\r\n", Some(format!("{BOTH}1800;refresher=uac"))),
        ("k: timer\r\nx: 9000\r\nMin-SE: 4000\r\n", Some(format!("{BOTH}4000;refresher=uac"))),
        ("x: 10\r\n", Some("Session-Expires: 90;refresher=uas".to_owned())),
    ] {
        let granted = SessionTimer::default().grant(&CONFIG, &terms(asked)).unwrap();
        assert_eq!(granted.map(|grant| fields(grant.headers())), expected, "{asked}");
    }
    for asked in ["k: timer\r\nx: 119\r\n", "k: timer\r\nx: 0;refresher=uas\r\n"] {
        let refused = SessionTimer::default().grant(&CONFIG, &terms(asked));
        assert_eq!(refused, Err(TooShort { min_s: 120 }));
    }
}

/// A peer that refreshes by a request without a word about who refreshes changes no part.
#[test]
fn parts_stay() {
    let mut timer = SessionTimer::default();
    for (asked, refresher) in [
        ("k: timer\r\nx: 600\r\n", Refresher::Uac),
        ("k: timer\r\nx: 600;refresher=uas\r\n", Refresher::Uas),
        ("k: timer\r\nx: 600\r\n", Refresher::Uas),
        ("k: timer\r\nx: 600;refresher=uac\r\n", Refresher::Uac),
        ("k: timer\r\nx: 600\r\n", Refresher::Uac),
    ] {
        let grant = timer.grant(&CONFIG, &terms(asked)).unwrap();
        assert_eq!(grant.unwrap().refresher, refresher);
        timer.granted(at(0), grant);
        assert_eq!(timer.is_ours(), refresher == Refresher::Uas);
        let [expires, _] = timer.request_headers(&CONFIG);
        // In a request of ours the parts are named the other way round.
        let part = if refresher == Refresher::Uas { "uac" } else { "uas" };
        assert_eq!(expires.unwrap().1, format!("600;refresher={part}"));
    }
}

/// The one who refreshes does so at half time; both notice the end early by a third of the
/// interval, 32 s at most.
#[test]
fn deadlines() {
    for (interval_s, end_s) in [(90, 60), (96, 64), (97, 65), (1800, 1768)] {
        let mut timer = SessionTimer::default();
        let said = Terms { interval_s: Some(interval_s), ..Terms::default() };
        timer.answered(at(100), &said);
        assert!(timer.is_ours(), "the sender of the request, if nothing is said");
        let half = at(100) + Duration::from_millis(u64::from(interval_s) * 500);
        assert_eq!(timer.deadline(), half);
        assert_eq!(timer.handle_timeout(half), Some(Due::Refresh));
        assert_eq!(timer.handle_timeout(half), None);
        assert_eq!(timer.deadline(), at(100 + end_s));
        timer.answered(at(100), &Terms { refresher: Some(Refresher::Uas), ..said });
        assert_eq!((timer.is_ours(), timer.deadline()), (false, at(100 + end_s)));
        assert_eq!(timer.handle_timeout(at(99 + end_s)), None);
        assert_eq!(timer.handle_timeout(at(100 + end_s)), Some(Due::Expired));
        assert_eq!((timer.deadline(), timer.interval_s()), (MonoTime::MAX, None));
    }
}

/// A refresh that fails is tried again until the session is over, a bounded number of times.
#[test]
fn refreshes_that_fail() {
    let mut timer = SessionTimer::default();
    timer.answered(at(0), &Terms { interval_s: Some(600), ..Terms::default() });
    let (mut tries, mut now) = (0, at(0));
    loop {
        now = now.max(timer.deadline());
        match timer.handle_timeout(now) {
            Some(Due::Refresh) => {
                tries += 1;
                timer.refresh_failed(now);
            }
            Some(Due::Expired) => break,
            None => panic!("a deadline at which nothing is due"),
        }
    }
    assert_eq!(now, at(568));
    assert!((5..20).contains(&tries), "{tries}");
    timer.refresh_failed(now);
    assert_eq!(timer.deadline(), MonoTime::MAX);
}

/// 422 raises what is asked for, once per value; a 2xx without Session-Expires turns it off.
#[test]
fn too_short_and_off() {
    let mut timer = SessionTimer::default();
    let asks = |timer: &SessionTimer| fields(timer.request_headers(&CONFIG).into_iter().flatten());
    assert_eq!(asks(&timer), "Session-Expires: 1800|Min-SE: 120");
    let defaults = timer.request_headers(&TimerConfig::default());
    assert_eq!(fields(defaults.into_iter().flatten()), "Session-Expires: 1800");
    assert!(timer.too_short(&terms("Min-SE: 3600\r\n")));
    assert_eq!(asks(&timer), "Session-Expires: 3600|Min-SE: 3600");
    assert!(!timer.too_short(&terms("Min-SE: 3600\r\n")));
    assert!(!timer.too_short(&terms("Min-SE: 99999999\r\n")));
    assert!(!timer.too_short(&terms("")));
    timer.answered(at(0), &terms("x: 4000;refresher=uac\r\n"));
    assert_eq!(timer.interval_s(), Some(4000));
    timer.answered(at(0), &terms(""));
    assert_eq!((timer.deadline(), timer.interval_s()), (MonoTime::MAX, None));
    timer.answered(at(0), &terms("x: 1\r\n"));
    assert_eq!(timer.interval_s(), Some(MIN_SE_S), "nobody makes us refresh every half second");
}
