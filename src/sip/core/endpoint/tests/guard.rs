//! Digest authentication of those who call.

use std::sync::Arc;

use super::super::*;
use super::support::*;
use crate::sip::core::auth::{Account, Algorithm, DigestClient, ServerConfig};
use crate::sip::core::{HeaderName, Message, Method, Refusal};

/// Everybody must prove; alice can.
struct Everybody;

impl Gate for Everybody {
    fn demands(&self, _flow: Flow, _request: &Message) -> bool {
        true
    }

    fn knows(&self, _flow: Flow, _request: &Message) -> bool {
        true
    }

    fn password(&self, user: &str) -> Option<zeroize::Zeroizing<String>> {
        let password = match user {
            "alice" => "wonderland",
            "bob" => "builder",
            _ => return None,
        };
        Some(password.to_owned().into())
    }
}

fn guarded() -> Ua {
    let mut allow = EndpointConfig::default().allow;
    allow.push(Method::Register);
    let mut ua = Ua::with(EndpointConfig { allow, ..EndpointConfig::default() }, Transport::Udp);
    let algorithms = vec![Algorithm::Sha256, Algorithm::Md5];
    let config = ServerConfig { realm: "talkpath".into(), algorithms, key: [5; 32] };
    ua.endpoint.guard(config, Box::new(Everybody));
    ua
}

fn client(user: &str, password: &str) -> DigestClient {
    DigestClient::new(Arc::new(Account::new(user, password, None)))
}

/// The credentials for a request, as a line.
fn line_of(client: &mut DigestClient, method: &str) -> String {
    let headers = client.headers(method, "sip:us@198.51.100.7", b"");
    headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// The INVITE that was challenged, its ACK, and the INVITE with credentials.
fn call(ua: &mut Ua, client: &mut DigestClient) {
    ua.receive(&request("INVITE", "", 1, "a", &with_sdp("")));
    let challenge = ua.sent().remove(0);
    assert_eq!(challenge.status(), Some(401));
    client.challenged(&challenge, 1).unwrap();
    let tag = challenge.to().unwrap().tag().unwrap().to_owned();
    ua.receive(&request("ACK", &tag, 1, "a", ""));
    let credentials = line_of(client, "INVITE");
    ua.receive(&request("INVITE", "", 2, "b", &with_sdp(&credentials)));
}

/// A challenge keeps nothing and is the same shape for everybody, its ACK is no stray, and the
/// call that follows says who calls.
#[test]
fn caller_is_challenged_and_proven() {
    let mut ua = guarded();
    for n in 0..100 {
        ua.receive(&request("INVITE", "", 1, &format!("flood{n}"), &with_sdp("")));
        let challenge = ua.sent().remove(0);
        assert_eq!(challenge.headers(HeaderName::WwwAuthenticate).count(), 2);
    }
    assert_eq!((ua.endpoint.calls(), ua.endpoint.transactions()), (0, (0, 0)));
    let mut client = client("alice", "wonderland");
    call(&mut ua, &mut client);
    assert_eq!(ua.lines(), ["100"]);
    let Event::Incoming { user, .. } = ua.event() else { panic!() };
    assert_eq!(user.as_deref(), Some("alice"));
    let counters = *ua.endpoint.counters();
    assert_eq!((counters.challenged, counters.proven, counters.stray_acks), (101, 1, 0));
}

/// Nobody must prove anything, and nobody is known.
struct Strangers;

impl Gate for Strangers {
    fn demands(&self, _flow: Flow, _request: &Message) -> bool {
        false
    }

    fn knows(&self, _flow: Flow, _request: &Message) -> bool {
        false
    }

    fn password(&self, _user: &str) -> Option<zeroize::Zeroizing<String>> {
        None
    }
}

/// However many calls come from strangers, nothing is kept of them: each is refused once, and not
/// again unless it comes again. Whether we are there is answered all the same.
#[test]
fn strangers_leave_nothing() {
    let mut ua = Ua::with(EndpointConfig::default(), Transport::Udp);
    let config = ServerConfig { realm: "x".into(), algorithms: vec![Algorithm::Md5], key: [5; 32] };
    ua.endpoint.guard(config, Box::new(Strangers));
    for n in 0..100 {
        ua.receive(&request("INVITE", "", 1, &format!("flood{n}"), &with_sdp("")));
        let [refusal] = &ua.sent()[..] else { panic!("more than one answer") };
        assert_eq!(refusal.status(), Some(403));
    }
    assert_eq!((ua.endpoint.calls(), ua.endpoint.transactions()), (0, (0, 0)));
    assert_eq!(ua.endpoint.deadline(), None, "nothing is said again");
    ua.receive(&request("OPTIONS", "", 1, "o", ""));
    assert_eq!(ua.sent()[0].status(), Some(200));
}

/// A wrong password and an unknown user get the same answer; after some of them the address waits.
#[test]
fn guesses_are_answered_alike_and_slowed() {
    let mut ua = guarded();
    let shape = |message: &Message| {
        let names: Vec<String> = message.all_headers().map(|(name, _)| name.to_owned()).collect();
        (message.status(), message.reason().map(str::to_owned), names)
    };
    let mut answers = Vec::new();
    for (n, user) in ["alice", "nobody", "alice", "nobody", "alice", "nobody"].iter().enumerate() {
        let mut client = client(user, "guess");
        ua.receive(&request("INVITE", "", 1, &format!("a{n}"), &with_sdp("")));
        client.challenged(&ua.sent().remove(0), 1).unwrap();
        let credentials = line_of(&mut client, "INVITE");
        ua.receive(&request("INVITE", "", 2, &format!("b{n}"), &with_sdp(&credentials)));
        answers.push(shape(&ua.sent().remove(0)));
    }
    assert_eq!(answers[0].0, Some(401));
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let mut client = client("alice", "wonderland");
    call(&mut ua, &mut client);
    let refused = ua.sent().remove(0);
    assert_eq!(refused.status(), Some(503));
    assert!(refused.header(HeaderName::RetryAfter).is_some());
    assert_eq!(ua.endpoint.counters().failed_proofs, 6);
    assert!(ua.events().is_empty());
    ua.assert_empty();
}

/// Within the call nothing more is asked of where it was opened; from elsewhere a change is
/// challenged, and taken with the same user's credentials alone. BYE, ACK and CANCEL never are.
#[test]
fn changes_from_elsewhere_are_challenged() {
    let mut ua = guarded();
    let mut client = client("alice", "wonderland");
    call(&mut ua, &mut client);
    let Event::Incoming { dialog, .. } = ua.event() else { panic!() };
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    let tag = ua.sent().pop().unwrap().to().unwrap().tag().unwrap().to_owned();
    ua.receive(&request("ACK", &tag, 2, "ack", ""));
    ua.receive(&request("OPTIONS", &tag, 3, "o", ""));
    assert_eq!(ua.lines(), ["200"]);
    ua.events();
    let elsewhere = Flow { peer: "192.0.2.99:5060".parse().unwrap(), ..ua.flow };
    let update = |cseq, branch: &str, more: &str| request("UPDATE", &tag, cseq, branch, more);
    ua.receive_from(elsewhere, &update(4, "u1", ""));
    let challenge = ua.sent().remove(0);
    assert_eq!(challenge.status(), Some(401));
    let mut other = self::client("bob", "builder");
    other.challenged(&challenge, 1).unwrap();
    let credentials = line_of(&mut other, "UPDATE");
    ua.receive_from(elsewhere, &update(5, "u2", &credentials));
    assert_eq!(ua.lines(), ["403"]);
    let mut same = self::client("alice", "wonderland");
    same.challenged(&challenge, 1).unwrap();
    same.headers("UPDATE", "x", b"");
    let credentials = line_of(&mut same, "UPDATE");
    ua.receive_from(elsewhere, &update(6, "u3", &credentials));
    assert_eq!(ua.lines(), ["200"]);
    ua.receive_from(elsewhere, &update(7, "u4", ""));
    assert_eq!(ua.lines(), ["200"], "it has moved there");
    let third = Flow { peer: "192.0.2.98:5060".parse().unwrap(), ..ua.flow };
    ua.receive_from(third, &request("BYE", &tag, 8, "bye", ""));
    assert_eq!(ua.lines(), ["200"]);
    assert!(matches!(ua.event(), Event::Ended { .. }));
    ua.assert_empty();
}

/// Whoever knows the tags but not the password does not draw the call to another address; a
/// re-INVITE with credentials does.
#[test]
fn calls_follow_only_who_is_proven() {
    let mut ua = guarded();
    let mut client = client("alice", "wonderland");
    call(&mut ua, &mut client);
    let Event::Incoming { dialog, .. } = ua.event() else { panic!() };
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    let tag = ua.sent().pop().unwrap().to().unwrap().tag().unwrap().to_owned();
    let elsewhere = Flow { peer: "192.0.2.99:5060".parse().unwrap(), ..ua.flow };
    let info_goes_to = |ua: &mut Ua| {
        ua.endpoint.info(ua.now, dialog, "application/dtmf-relay", b"Signal=1\r\n").unwrap();
        let sent = ua.transmits();
        assert_eq!(sent.len(), 1);
        sent[0].flow.peer.ip().to_string()
    };
    // Not direct, so that requests go where the latest one came from.
    let through = |text: String| text.replace("UDP 192.0.2.1:", "UDP 10.0.0.1:");
    ua.receive(&through(request("OPTIONS", &tag, 3, "o1", "")));
    ua.receive_from(elsewhere, &through(request("ACK", &tag, 2, "ack", "")));
    ua.receive_from(elsewhere, &through(request("OPTIONS", &tag, 4, "o2", "")));
    ua.receive_from(elsewhere, &through(request("NOTIFY", &tag, 5, "n", "Event: refer\n")));
    ua.receive_from(elsewhere, &through(request("PRACK", &tag, 6, "p", "RAck: 1 2 INVITE\n")));
    let challenge = ua.sent().pop().unwrap();
    assert_eq!(challenge.status(), Some(401), "a PRACK may bring an offer");
    ua.events();
    assert_eq!(info_goes_to(&mut ua), "192.0.2.1");
    let mut moved = self::client("alice", "wonderland");
    moved.challenged(&challenge, 1).unwrap();
    let credentials = line_of(&mut moved, "INVITE");
    let change = request("INVITE", &tag, 7, "re", &with_sdp(&credentials));
    ua.receive_from(elsewhere, &through(change));
    assert!(matches!(ua.event(), Event::Reinvite { .. }));
    ua.lines();
    assert_eq!(info_goes_to(&mut ua), "192.0.2.99");
}

/// CANCEL of a call with credentials needs none; OPTIONS is answered without.
#[test]
fn cancel_and_options_are_not_challenged() {
    let mut ua = guarded();
    let mut client = client("alice", "wonderland");
    call(&mut ua, &mut client);
    ua.lines();
    ua.receive(&request("CANCEL", "", 2, "b", ""));
    assert_eq!(ua.lines(), ["200", "487"]);
    ua.receive(&request("OPTIONS", "", 3, "o", ""));
    assert_eq!(ua.lines(), ["200"]);
}

/// REGISTER is always challenged, told with who sends it, and answered once for all its copies;
/// an extension that is not known is refused, `path` is known.
#[test]
fn telephones_register() {
    let mut ua = guarded();
    ua.receive(&request("REGISTER", "", 1, "r1", "Require: gruu, path\n"));
    let refused = ua.sent().remove(0);
    assert_eq!(refused.status(), Some(420));
    assert_eq!(header(&refused, HeaderName::Unsupported), "gruu");
    ua.receive(&request("REGISTER", "", 2, "r2", "Require: path\n"));
    let challenge = ua.sent().remove(0);
    assert_eq!(challenge.status(), Some(401));
    let mut client = client("bob", "builder");
    client.challenged(&challenge, 1).unwrap();
    let registration = request("REGISTER", "", 3, "r3", &line_of(&mut client, "REGISTER"));
    ua.receive(&registration);
    let Event::Registering { asked, user, .. } = ua.event() else { panic!() };
    assert_eq!(&*user, "bob");
    let contact = vec![(HeaderName::Contact, "<sip:b@h>;expires=60".to_owned())];
    let answer = Refusal { headers: contact, ..Refusal::new(200, "OK") };
    ua.endpoint.reply(ua.now, asked, &answer);
    let ok = ua.sent().remove(0);
    assert_eq!(header(&ok, HeaderName::Contact), "<sip:b@h>;expires=60");
    ua.receive(&registration);
    assert_eq!(ua.sent().remove(0).bytes(), ok.bytes());
    assert!(ua.events().is_empty());
    ua.assert_empty();
    let mut plain = Ua::new();
    plain.receive(&request("REGISTER", "", 1, "r1", ""));
    assert_eq!(plain.lines(), ["405"]);
}
