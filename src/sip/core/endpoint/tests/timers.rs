//! Session timers in calls (RFC 4028): both roles, both refreshers, both ways to refresh.

use super::super::*;
use super::outbound::params;
use super::support::*;
use crate::sip::core::session_timer::TimerConfig;
use crate::sip::core::{HeaderName, Message};

fn timed() -> Ua {
    let session_timer = Some(TimerConfig { interval_s: 1800, min_s: 120 });
    Ua::with(EndpointConfig { session_timer, ..EndpointConfig::default() }, Transport::Udp)
}

/// A call that came in with these fields and was answered: its id, our tag, the 200.
fn called(ua: &mut Ua, fields: &str) -> (DialogId, String, Message) {
    ua.receive(&request("INVITE", "", 1, "inv", &with_sdp(fields)));
    let Event::Incoming { dialog, .. } = ua.event() else { panic!() };
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    let ok = ua.sent().pop().unwrap();
    let tag = ok.to().unwrap().tag().unwrap().to_owned();
    ua.receive(&request("ACK", &tag, 1, "ack", ""));
    ua.events();
    (dialog, tag, ok)
}

/// A call that we placed and that was answered with these fields; its INVITE.
fn placed(ua: &mut Ua, fields: &str) -> (DialogId, Message) {
    let dialog = ua.endpoint.invite(ua.now, params(ua.flow, true)).unwrap();
    let invite = ua.sent().remove(0);
    ua.receive(&response(&invite, 200, "callee", &with_sdp(fields)));
    ua.events();
    assert_eq!(ua.lines(), ["ACK"]);
    (dialog, invite)
}

const ALLOW: &str = "Allow: INVITE, ACK, BYE, UPDATE\n";

/// What a 200 says to callers with and without the extension, and what it does to the deadline.
#[test]
fn callee_grants() {
    for (fields, expires, require) in [
        ("", "", ""),
        ("Supported: timer\n", "1800;refresher=uac", "timer"),
        ("Supported: timer\nSession-Expires: 300\n", "300;refresher=uac", "timer"),
        ("Supported: timer\nSession-Expires: 300;refresher=uas\n", "300;refresher=uas", ""),
        ("Session-Expires: 300\n", "300;refresher=uas", ""),
    ] {
        let mut ua = timed();
        let (.., ok) = called(&mut ua, fields);
        assert_eq!(header(&ok, HeaderName::SessionExpires), expires, "{fields}");
        assert_eq!(header(&ok, HeaderName::Require), require, "{fields}");
        assert_eq!(header(&ok, HeaderName::Supported), "100rel, timer, replaces, norefersub");
    }
    // Turned off, nothing is said and nothing required is taken.
    let mut ua = Ua::new();
    let (.., ok) = called(&mut ua, "Supported: timer\nSession-Expires: 300\n");
    assert_eq!(header(&ok, HeaderName::SessionExpires), "");
    ua.receive(&request("INVITE", "", 1, "b", "Require: timer\n").replace("c1", "c2"));
    assert_eq!(ua.lines(), ["420"]);
}

/// An interval that is too short is refused in every request that could set it.
#[test]
fn callee_refuses_short_intervals() {
    let short = "Supported: timer\nSession-Expires: 100\n";
    let mut ua = timed();
    ua.receive(&request("INVITE", "", 1, "inv", &with_sdp(short)));
    let refused = ua.sent().remove(0);
    assert_eq!(line(&refused), "422");
    assert_eq!(header(&refused, HeaderName::MinSe), "120");
    assert_eq!(ua.endpoint.calls(), 0);
    let (_, tag, _) = called(&mut ua, "Supported: timer\nSession-Expires: 120\n");
    for (method, extra) in
        [("UPDATE", short.to_owned()), ("UPDATE", with_sdp(short)), ("INVITE", with_sdp(short))]
    {
        let cseq = 10 + u32::try_from(extra.len()).unwrap() + u32::from(method == "INVITE");
        ua.receive(&request(method, &tag, cseq, &format!("{method}{cseq}"), &extra));
        let refused = ua.sent().remove(0);
        assert_eq!(
            (line(&refused).as_str(), header(&refused, HeaderName::MinSe).as_str()),
            ("422", "120")
        );
        assert!(ua.events().is_empty());
    }
}

/// A caller that refreshes keeps the call; one that stops loses it shortly before the interval is
/// over, with BYE and its reason.
#[test]
fn caller_refreshes_and_stops() {
    let mut ua = timed();
    let (_, tag, _) = called(&mut ua, "Supported: timer\nSession-Expires: 300;refresher=uac\n");
    let fields = "Supported: timer\nSession-Expires: 300;refresher=uac\n";
    for n in 0..4 {
        ua.pass(200_000);
        assert!(ua.sent().is_empty() && ua.events().is_empty());
        ua.receive(&request("UPDATE", &tag, 2 + n, &format!("up{n}"), fields));
        let ok = ua.sent().remove(0);
        assert_eq!(header(&ok, HeaderName::SessionExpires), "300;refresher=uac");
        assert_eq!(header(&ok, HeaderName::Require), "timer");
    }
    ua.pass(267_999);
    assert!(ua.sent().is_empty());
    ua.pass(1);
    let bye = ua.sent().remove(0);
    assert_eq!(line(&bye), "BYE");
    assert_eq!(header(&bye, HeaderName::Reason), "Q.850;cause=102;text=\"session_expired\"");
    assert!(matches!(ua.event(), Event::Ended { cause: End::SessionExpired, .. }));
    ua.assert_empty();
}

/// A re-INVITE of the peer refreshes as well; one without the timer turns it off.
#[test]
fn reinvites_refresh() {
    let mut ua = timed();
    let (dialog, tag, _) = called(&mut ua, "Supported: timer\nSession-Expires: 300\n");
    for (n, (fields, expires)) in
        [("Supported: timer\nSession-Expires: 200\n", "200;refresher=uac"), ("", "")]
            .into_iter()
            .enumerate()
    {
        ua.pass(150_000);
        let cseq = 2 + u32::try_from(n).unwrap();
        ua.receive(&request("INVITE", &tag, cseq, &format!("re{n}"), &with_sdp(fields)));
        ua.events();
        ua.endpoint.accept_reinvite(ua.now, dialog, SDP.as_bytes()).unwrap();
        let ok = ua.sent().pop().unwrap();
        assert_eq!(header(&ok, HeaderName::SessionExpires), expires);
        ua.receive(&request("ACK", &tag, cseq, &format!("ack{n}"), ""));
    }
    ua.pass(5_000_000);
    assert!(ua.sent().is_empty() && ua.events().is_empty());
}

/// As the refresher: UPDATE at half time if the peer takes it, re-INVITE with the description that
/// holds otherwise, and re-INVITE where UPDATE is refused after all.
#[test]
fn we_refresh() {
    let fields = "Supported: timer\nSession-Expires: 300;refresher=uas\n";
    for (allow, update) in [(ALLOW, true), ("Allow: INVITE, ACK, BYE\n", false)] {
        let mut ua = timed();
        let (_, _, ok) = called(&mut ua, &format!("{fields}{allow}"));
        let ours = ok.body().to_vec();
        for _ in 0..3 {
            ua.pass(150_000);
            let refresh = ua.sent().remove(0);
            assert_eq!(line(&refresh), if update { "UPDATE" } else { "INVITE" });
            assert_eq!(header(&refresh, HeaderName::SessionExpires), "300;refresher=uac");
            assert_eq!(header(&refresh, HeaderName::MinSe), "120");
            assert_eq!(
                header(&refresh, HeaderName::Supported),
                "100rel, timer, replaces, norefersub"
            );
            assert!(!header(&refresh, HeaderName::Contact).is_empty());
            assert_eq!(refresh.body(), if update { &b""[..] } else { &ours });
            let granted = "Require: timer\nSession-Expires: 300;refresher=uac\n";
            let answer = if update { granted.to_owned() } else { with_sdp(granted) };
            ua.receive(&response(&refresh, 200, "", &answer));
            assert_eq!(ua.lines().len(), usize::from(!update));
            let told = ua.events();
            assert_eq!(told.len(), usize::from(!update), "{told:?}");
        }
    }
    let mut ua = timed();
    called(&mut ua, &format!("{fields}{ALLOW}"));
    ua.pass(150_000);
    let update = ua.sent().remove(0);
    ua.receive(&response(&update, 405, "", ""));
    assert_eq!(ua.lines(), ["INVITE"]);
}

/// Refreshes that the peer refuses are tried again until the time is over; 408, 481 and silence
/// end the call at once, 422 is obeyed.
#[test]
fn our_refresh_fails() {
    let fields = format!("Supported: timer\nSession-Expires: 300;refresher=uas\n{ALLOW}");
    for status in [408, 481] {
        let mut ua = timed();
        called(&mut ua, &fields);
        ua.pass(150_000);
        let update = ua.sent().remove(0);
        ua.receive(&response(&update, status, "", ""));
        assert_eq!(ua.lines(), ["BYE"]);
        assert!(matches!(ua.event(), Event::Ended { cause: End::TransactionTimeout, .. }));
        ua.assert_empty();
    }
    let mut ua = timed();
    called(&mut ua, &fields);
    ua.pass(182_001);
    assert_eq!(ua.lines().last().map(String::as_str), Some("BYE"));
    assert!(matches!(ua.event(), Event::Ended { cause: End::TransactionTimeout, .. }));
    let mut ua = timed();
    called(&mut ua, &fields);
    let mut tries = 0;
    while ua.endpoint.calls() > 0 && ua.events().is_empty() {
        ua.pass(500);
        for sent in ua.sent() {
            if line(&sent) == "UPDATE" {
                tries += 1;
                ua.receive(&response(&sent, 500, "", ""));
            } else {
                assert_eq!(header(&sent, HeaderName::Reason).get(..15), Some("Q.850;cause=102"));
            }
        }
    }
    assert!((3..12).contains(&tries), "{tries}");
    let mut ua = timed();
    called(&mut ua, &fields);
    ua.pass(150_000);
    let update = ua.sent().remove(0);
    ua.receive(&response(&update, 422, "", "Min-SE: 900\n"));
    let update = ua.sent().remove(0);
    assert_eq!(header(&update, HeaderName::SessionExpires), "900;refresher=uac");
    assert_eq!(header(&update, HeaderName::MinSe), "900");
}

/// As caller: what the INVITE asks, a 422 that is obeyed once per value, and the parts that the
/// 200 hands out.
#[test]
fn caller_asks() {
    let mut ua = timed();
    let dialog = ua.endpoint.invite(ua.now, params(ua.flow, true)).unwrap();
    let invite = ua.sent().remove(0);
    assert_eq!(header(&invite, HeaderName::SessionExpires), "1800");
    assert_eq!(header(&invite, HeaderName::MinSe), "120");
    ua.receive(&response(&invite, 422, "callee", "Min-SE: 3600\n"));
    let sent = ua.sent();
    assert_eq!(sent.iter().map(line).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    let again = &sent[1];
    assert_eq!(header(again, HeaderName::SessionExpires), "3600");
    assert_eq!(header(again, HeaderName::MinSe), "3600");
    assert_eq!(again.cseq().unwrap().number, invite.cseq().unwrap().number + 1);
    assert_eq!(again.call_id(), invite.call_id());
    assert_eq!(again.from().unwrap().tag(), invite.from().unwrap().tag());
    assert_eq!(again.to().unwrap().tag(), None);
    assert_ne!(again.via().unwrap().branch(), invite.via().unwrap().branch());
    assert_eq!(again.body(), invite.body());
    assert_eq!(again.header_named("X-Call"), Some("7"));
    assert!(ua.events().is_empty());
    ua.receive(&response(again, 200, "callee", &with_sdp("Session-Expires: 3600;refresher=uac\n")));
    let ack = ua.sent().remove(0);
    assert_eq!(ack.cseq().unwrap().number, again.cseq().unwrap().number);
    assert!(matches!(ua.event(), Event::Answered { .. }));
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    let bye = ua.sent().remove(0);
    ua.receive(&response(&bye, 200, "", ""));
    ua.assert_empty();
    // The same demand again is no reason to go on.
    let mut ua = timed();
    ua.endpoint.invite(ua.now, params(ua.flow, true)).unwrap();
    for _ in 0..2 {
        let invite = ua.sent().pop().unwrap();
        ua.receive(&response(&invite, 422, "callee", "Min-SE: 3600\n"));
    }
    assert!(matches!(ua.event(), Event::Failed { status: 422, .. }));
    ua.assert_empty();
}

/// The parts of a call that we placed: ours, the callee's, nobody's.
#[test]
fn caller_takes_its_part() {
    let mut ua = timed();
    placed(&mut ua, &format!("Require: timer\nSession-Expires: 400;refresher=uac\n{ALLOW}"));
    ua.pass(200_000);
    assert_eq!(ua.lines(), ["UPDATE"]);
    let mut ua = timed();
    placed(&mut ua, "Require: timer\nSession-Expires: 400;refresher=uas\n");
    ua.pass(368_000);
    assert_eq!(ua.lines(), ["BYE"]);
    let mut ua = timed();
    placed(&mut ua, "");
    ua.pass(10_000_000);
    assert!(ua.lines().is_empty());
}
