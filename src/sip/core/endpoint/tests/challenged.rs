//! Requests of ours that are challenged.

use std::sync::Arc;

use super::super::*;
use super::outbound::params;
use super::support::*;
use crate::sip::core::auth::{Account, Credentials, DigestClient};
use crate::sip::core::{HeaderName, Message, Method};

const WWW: &str = "WWW-Authenticate: Digest realm=\"r\", qop=\"auth\", nonce=";
const PROXY: &str = "Proxy-Authenticate: Digest realm=\"p\", qop=\"auth\", nonce=";

fn account() -> Arc<Account> {
    Arc::new(Account::new("alice", "wonderland", None))
}

/// A call placed with an account, and its INVITE.
fn calling(ua: &mut Ua) -> (DialogId, Message) {
    let placing = Placing { account: Some(account()), ..Placing::default() };
    let dialog = ua.endpoint.invite_with(ua.now, params(ua.flow, true), placing).unwrap();
    let invite = ua.sent().remove(0);
    assert!(invite.header(HeaderName::Authorization).is_none());
    (dialog, invite)
}

fn number(message: &Message) -> u32 {
    message.cseq().unwrap().number
}

/// The credentials of a request, checked against its method, URI and password.
fn credentials(request: &Message, name: HeaderName) -> (String, String) {
    let value = request.header(name).expect("credentials");
    let read = Credentials::parse(value).unwrap();
    let method = request.method().unwrap().as_str();
    assert_eq!(read.response, read.expected("wonderland", method, request.body()));
    assert_eq!(Some(read.uri), request.uri());
    (read.nonce.to_owned(), read.nc.to_owned())
}

/// The call after its challenge was answered, and its second INVITE.
fn established(ua: &mut Ua) -> (DialogId, Message) {
    let (dialog, first) = calling(ua);
    ua.receive(&response(&first, 407, "t", &format!("{PROXY}\"1\"\n")));
    let mut sent = ua.sent();
    assert_eq!(sent.iter().map(line).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    let second = sent.remove(1);
    assert_eq!(second.call_id(), first.call_id());
    assert_eq!(second.header(HeaderName::From), first.header(HeaderName::From));
    assert_eq!(second.header(HeaderName::To), first.header(HeaderName::To));
    assert_eq!(second.header_named("X-Call"), Some("7"));
    assert_eq!(second.header(HeaderName::Route), first.header(HeaderName::Route));
    assert_eq!(second.body(), first.body());
    assert_eq!((number(&first), number(&second)), (1, 2));
    assert_ne!(second.via().unwrap().branch(), first.via().unwrap().branch());
    assert_eq!(credentials(&second, HeaderName::ProxyAuthorization).1, "00000001");
    ua.receive(&response(&second, 200, "t", &with_sdp("")));
    let ack = ua.sent().remove(0);
    assert_eq!(number(&ack), 2);
    assert_eq!(
        ack.header(HeaderName::ProxyAuthorization),
        second.header(HeaderName::ProxyAuthorization),
        "RFC 3261 13.2.2.4"
    );
    assert!(matches!(ua.event(), Event::Answered { .. }));
    (dialog, second)
}

/// A proxy challenges the INVITE; later requests of the call carry credentials at once, each with a
/// higher count; a stale nonce is replaced without anybody noticing.
#[test]
fn invite_and_what_follows() {
    let mut ua = Ua::new();
    let (dialog, _) = established(&mut ua);
    ua.endpoint.reinvite(ua.now, dialog, Some(SDP.as_bytes())).unwrap();
    let reinvite = ua.sent().remove(0);
    assert_eq!(credentials(&reinvite, HeaderName::ProxyAuthorization).1, "00000002");
    let stale = format!("{PROXY}\"2\", stale=true\n");
    ua.receive(&response(&reinvite, 407, "", &stale));
    let again = ua.sent().remove(1);
    assert_eq!(number(&again), number(&reinvite) + 1);
    let expected = ("2".to_owned(), "00000001".to_owned());
    assert_eq!(credentials(&again, HeaderName::ProxyAuthorization), expected);
    ua.receive(&response(&again, 200, "", &with_sdp("")));
    let ack = ua.sent().remove(0);
    assert_eq!((line(&ack).as_str(), number(&ack)), ("ACK", number(&again)));
    assert!(matches!(ua.event(), Event::ReinviteAnswered { .. }));
    ua.endpoint.info(ua.now, dialog, "text/plain", b"x").unwrap();
    let info = ua.sent().remove(0);
    assert_eq!(credentials(&info, HeaderName::ProxyAuthorization).1, "00000002");
    ua.receive(&response(&info, 200, "", ""));
    assert!(matches!(ua.event(), Event::InfoAnswered { status: 200, .. }));
    // The callee itself has its own realm.
    ua.endpoint.bye(ua.now, dialog, &[("Reason", "Q.850;cause=16")]).unwrap();
    let bye = ua.sent().remove(0);
    ua.receive(&response(&bye, 401, "", &format!("{WWW}\"9\"\n")));
    let again = ua.sent().remove(0);
    credentials(&again, HeaderName::Authorization);
    credentials(&again, HeaderName::ProxyAuthorization);
    assert_eq!(again.header(HeaderName::Reason), Some("Q.850;cause=16"));
    ua.receive(&response(&again, 200, "", ""));
    assert!(matches!(ua.event(), Event::Ended { cause: End::Local, .. }));
    ua.assert_empty();
}

/// A wrong password ends the call with the challenge; without an account nothing is tried.
#[test]
fn refused_credentials_end_the_call() {
    let mut ua = Ua::new();
    let (_, first) = calling(&mut ua);
    let challenge = format!("{WWW}\"1\"\n");
    ua.receive(&response(&first, 401, "t", &challenge));
    let second = ua.sent().remove(1);
    ua.receive(&response(&second, 401, "t", &challenge.replace('1', "2")));
    assert_eq!(ua.lines(), ["ACK"]);
    assert!(matches!(ua.event(), Event::Failed { status: 401, response: Some(_), .. }));
    assert_eq!(ua.endpoint.counters().refused_proofs, 1);
    ua.endpoint.invite(ua.now, params(ua.flow, true)).unwrap();
    let plain = ua.sent().remove(0);
    ua.receive(&response(&plain, 407, "t", &challenge));
    assert_eq!(ua.lines(), ["ACK"]);
    assert!(matches!(ua.event(), Event::Failed { status: 407, .. }));
    ua.assert_empty();
}

/// A call that was given up is not tried again; one that is given up after the challenge is
/// cancelled by the transaction that is under way.
#[test]
fn giving_up_around_a_challenge() {
    let mut ua = Ua::new();
    let challenge = format!("{WWW}\"1\"\n");
    let (dialog, first) = calling(&mut ua);
    ua.endpoint.cancel(ua.now, dialog, &[]).unwrap();
    ua.receive(&response(&first, 401, "t", &challenge));
    assert_eq!(ua.lines(), ["ACK"]);
    assert!(matches!(ua.event(), Event::Failed { status: 487, .. }));
    let (dialog, first) = calling(&mut ua);
    ua.receive(&response(&first, 100, "", ""));
    ua.receive(&response(&first, 401, "t", &challenge));
    let second = ua.sent().remove(1);
    ua.endpoint.cancel(ua.now, dialog, &[]).unwrap();
    assert!(ua.lines().is_empty(), "the second INVITE has no provisional response yet");
    ua.receive(&response(&second, 180, "t", ""));
    let cancel = ua.sent().remove(0);
    assert_eq!((line(&cancel).as_str(), number(&cancel)), ("CANCEL", 2));
    assert_eq!(cancel.via().unwrap().branch(), second.via().unwrap().branch());
    ua.receive(&response(&second, 487, "t", ""));
    assert!(matches!(ua.event(), Event::Failed { status: 487, .. }));
    ua.assert_empty();
}

/// Another branch of a fork and copies of the challenge do no harm; the ring limit is its own.
#[test]
fn copies_and_limits() {
    let mut ua = Ua::new();
    let (_, first) = calling(&mut ua);
    let challenge = response(&first, 401, "t", &format!("{WWW}\"1\"\n"));
    ua.receive(&challenge);
    assert_eq!(ua.lines(), ["ACK", "INVITE"]);
    ua.receive(&challenge);
    assert_eq!(ua.lines(), ["ACK"]);
    ua.pass(40_000);
    assert!(matches!(ua.event(), Event::Failed { status: 408, .. }));
    ua.lines();
    let ring_limit = Some(std::time::Duration::from_secs(2));
    let placing = Placing { ring_limit, ..Placing::default() };
    ua.endpoint.invite_with(ua.now, params(ua.flow, true), placing).unwrap();
    let invite = ua.sent().remove(0);
    ua.receive(&response(&invite, 180, "t", ""));
    ua.events();
    ua.pass(2_000);
    assert!(matches!(ua.event(), Event::Failed { status: 408, .. }));
    assert_eq!(ua.lines(), ["CANCEL"]);
    ua.receive(&response(&invite, 487, "t", ""));
    ua.assert_empty();
}

/// A request outside of dialogs is answered after its challenge, with the number that was used last
/// and the challenges for the next one; nobody there is told, too.
#[test]
fn requests_outside_of_dialogs() {
    let mut ua = Ua::new();
    let register = |auth, cseq| RequestParams {
        method: Method::Register,
        uri: "sip:biloxi.com".into(),
        flow: flow(Transport::Udp),
        from: "<sip:alice@biloxi.com>".into(),
        to: "<sip:alice@biloxi.com>".into(),
        call_id: Some("c".into()),
        cseq,
        contact_user: Some("line1".into()),
        contact_params: ";expires=600".into(),
        headers: vec![(HeaderName::Supported, "path".into())],
        auth,
    };
    let auth = Some(Box::new(DigestClient::new(account())));
    let id = ua.endpoint.request(ua.now, register(auth, 7)).unwrap();
    let first = ua.sent().remove(0);
    assert_eq!(
        first.header(HeaderName::Contact),
        Some("<sip:line1@198.51.100.7:5060>;expires=600")
    );
    ua.receive(&response(&first, 401, "t", &format!("{WWW}\"1\"\n")));
    let second = ua.sent().remove(0);
    credentials(&second, HeaderName::Authorization);
    ua.receive(&response(&second, 200, "t", ""));
    let Event::Responded { request, response: Some(answer), cseq: 8, auth } = ua.event() else {
        panic!()
    };
    assert_eq!((request, answer.status()), (id, Some(200)));
    ua.endpoint.request(ua.now, register(auth, 9)).unwrap();
    let third = ua.sent().remove(0);
    assert_eq!(credentials(&third, HeaderName::Authorization).1, "00000002");
    ua.pass(40_000);
    assert!(matches!(ua.event(), Event::Responded { response: None, auth: Some(_), .. }));
    ua.assert_empty();
}
