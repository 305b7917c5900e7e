use bytes::Bytes;

use super::*;
use crate::sip::core::endpoint::Transport;

fn at(s: u64) -> MonoTime {
    MonoTime::from_nanos(s * 1_000_000_000)
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Tcp,
        local: "198.51.100.7:5060".parse().unwrap(),
        peer: "192.0.2.1:5060".parse().unwrap(),
        connection: 0,
    }
}

fn registration() -> Registration {
    let settings = Settings {
        registrar: "sip:biloxi.com".into(),
        aor: "sip:bob@biloxi.com".into(),
        contact_user: "token".into(),
        expires_s: 600,
        account: Arc::new(Account::new("bob", "zanzibar", None)),
    };
    Registration::new(settings, "call-id".into(), 5)
}

fn answer(status: u16, lines: &str) -> Message {
    let text = format!("SIP/2.0 {status} x\n{lines}\n");
    Message::parse(Bytes::from(text.replace('\n', "\r\n"))).unwrap()
}

/// Sends what is due and gives it this answer.
fn exchange(registration: &mut Registration, now: MonoTime, response: Option<&Message>) -> Outcome {
    let sent = registration.handle_timeout(now, flow()).expect("a REGISTER is due");
    assert_eq!(registration.deadline(), MonoTime::MAX, "one at a time");
    assert!(registration.handle_timeout(now, flow()).is_none());
    registration.handle_response(now, response, sent.cseq, sent.auth)
}

const CONTACT: &str = "Contact: <sip:other@h>;expires=9999, <sip:token@h>;expires=400\n";

/// It registers at once, refreshes well before the granted time is over, with the same Call-ID and
/// a higher number, keeps the Service-Route, and leaves with expires=0.
#[test]
fn life_of_a_registration() {
    let mut registration = registration();
    assert_eq!(registration.state(at(0)), State::Waiting);
    let first = registration.handle_timeout(at(0), flow()).unwrap();
    assert_eq!((first.method, first.uri.as_str()), (Method::Register, "sip:biloxi.com"));
    assert_eq!(
        (first.from.as_str(), first.to.as_str()),
        ("<sip:bob@biloxi.com>", "<sip:bob@biloxi.com>")
    );
    assert_eq!(first.contact_params, ";expires=600");
    let routes = "Service-Route: <sip:p1;lr>, <sip:p2;lr>\n";
    let ok = answer(200, &format!("{CONTACT}{routes}"));
    // A challenge took another number.
    let outcome = registration.handle_response(at(1), Some(&ok), first.cseq + 1, first.auth);
    assert_eq!(outcome, Outcome::Registered(Duration::from_secs(400)));
    assert_eq!(registration.state(at(1)), State::Registered);
    assert_eq!(registration.service_routes(), ["<sip:p1;lr>", "<sip:p2;lr>"]);
    let due = registration.deadline();
    assert!(due >= at(1 + 270) && due <= at(1 + 300), "{due:?}");
    assert!(registration.handle_timeout(at(100), flow()).is_none());
    let second = registration.handle_timeout(due, flow()).unwrap();
    assert_eq!((second.cseq, second.call_id.as_deref()), (3, Some("call-id")));
    assert_eq!(registration.state(at(402)), State::Waiting, "not refreshed in time");
    registration.handle_response(due, Some(&ok), second.cseq, second.auth);
    registration.leave(due);
    let last = registration.handle_timeout(due, flow()).unwrap();
    assert_eq!(last.contact_params, ";expires=0");
    let outcome = registration.handle_response(due, None, last.cseq, last.auth);
    assert_eq!((outcome, registration.state(due)), (Outcome::Left, State::Left));
    assert_eq!(registration.deadline(), MonoTime::MAX);
}

/// The wait doubles up to its limit, never the same for all, and Retry-After is heeded within
/// reason; a success begins anew.
#[test]
fn failures_back_off() {
    let mut registration = registration();
    let mut now = at(0);
    for expected_s in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        let Outcome::Failed(status, wait) = exchange(&mut registration, now, None) else {
            panic!()
        };
        assert_eq!(status, None);
        let full = Duration::from_secs(expected_s);
        assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
        assert_eq!(registration.deadline(), now + wait);
        now += wait;
    }
    let busy = answer(503, "Retry-After: 1000 (later)\n");
    let outcome = exchange(&mut registration, now, Some(&busy));
    assert_eq!(outcome, Outcome::Failed(Some(503), Duration::from_secs(1_000)));
    now += Duration::from_secs(1_000);
    let busy = answer(503, "Retry-After: 4000000000\n");
    let outcome = exchange(&mut registration, now, Some(&busy));
    assert_eq!(outcome, Outcome::Failed(Some(503), RETRY_AFTER_MAX));
    now += RETRY_AFTER_MAX;
    exchange(&mut registration, now, Some(&answer(200, CONTACT)));
    let due = registration.deadline();
    let Outcome::Failed(_, wait) = exchange(&mut registration, due, None) else { panic!() };
    assert!(wait <= BACKOFF_MIN);
    assert_eq!(registration.state(due), State::Registered, "what was granted lasts");
}

/// 423 asks for as long as the registrar wants, once; refusals are for good.
#[test]
fn interval_too_brief_and_refusals() {
    let mut registration = registration();
    let brief = answer(423, "Min-Expires: 1800\n");
    let outcome = exchange(&mut registration, at(0), Some(&brief));
    assert_eq!(outcome, Outcome::Failed(Some(423), Duration::ZERO));
    let again = registration.handle_timeout(at(0), flow()).unwrap();
    assert_eq!(again.contact_params, ";expires=1800");
    let outcome = registration.handle_response(at(0), Some(&brief), again.cseq, again.auth);
    let Outcome::Failed(Some(423), wait) = outcome else { panic!() };
    assert!(!wait.is_zero());
    for status in [301, 400, 401, 403, 404, 407, 603] {
        let mut registration = self::registration();
        let outcome = exchange(&mut registration, at(0), Some(&answer(status, "")));
        assert_eq!(outcome, Outcome::Refused(status));
        assert_eq!(registration.state(at(0)), State::Refused);
        assert_eq!(registration.deadline(), MonoTime::MAX);
        registration.handle_flow_broken(at(1));
        assert_eq!(registration.deadline(), MonoTime::MAX, "for good");
    }
}

/// A broken connection is mended at once; leaving before anything was registered sends nothing.
#[test]
fn broken_flows_and_early_leave() {
    let mut registration = registration();
    registration.handle_flow_broken(at(0));
    exchange(&mut registration, at(0), Some(&answer(200, CONTACT)));
    registration.handle_flow_broken(at(5));
    assert_eq!(registration.state(at(5)), State::Waiting);
    assert_eq!(registration.deadline(), at(5));
    let mut registration = self::registration();
    registration.leave(at(0));
    assert_eq!((registration.state(at(0)), registration.deadline()), (State::Left, MonoTime::MAX));
    let mut registration = self::registration();
    let sent = registration.handle_timeout(at(0), flow()).unwrap();
    registration.leave(at(0));
    registration.handle_response(at(0), Some(&answer(200, CONTACT)), sent.cseq, sent.auth);
    let last = registration.handle_timeout(at(0), flow()).unwrap();
    assert_eq!(last.contact_params, ";expires=0");
    registration.handle_response(at(0), Some(&answer(200, "")), last.cseq, last.auth);
    assert_eq!(registration.state(at(0)), State::Left);
}

/// While there is another server it is asked at once; after the last the wait grows. One that
/// refuses for good is not left for another.
#[test]
fn the_next_server_is_asked_at_once() {
    let mut registration = registration();
    let failed = exchange(&mut registration, at(0), None);
    assert!(matches!(failed, Outcome::Failed(None, wait) if wait >= BACKOFF_MIN / 2));
    assert!(registration.deadline() > at(0));
    registration.handle_other_server(at(0));
    assert_eq!(registration.deadline(), at(0));
    let sent = registration.handle_timeout(at(0), flow()).unwrap();
    registration.handle_other_server(at(0));
    assert_eq!(registration.deadline(), MonoTime::MAX, "one is under way");
    let ok = answer(200, CONTACT);
    registration.handle_response(at(1), Some(&ok), sent.cseq, sent.auth);
    assert_eq!(registration.state(at(1)), State::Registered);

    let mut registration = self::registration();
    let refused = answer(403, "");
    assert_eq!(exchange(&mut registration, at(0), Some(&refused)), Outcome::Refused(403));
    registration.handle_other_server(at(1));
    assert_eq!(registration.deadline(), MonoTime::MAX);
}
