use super::*;

const MS: u64 = 1_000_000;

fn uac(reliable: bool) -> Uac {
    Uac::new(settings(reliable))
}

fn settings(reliable: bool) -> Settings {
    Settings {
        local: "127.0.0.1:5070".parse().expect("address"),
        target: "sip:echo@127.0.0.1:5060".into(),
        transport: if reliable { Transport::Tcp } else { Transport::Udp },
        from: None,
        account: None,
        run: 0xABC,
        ptime_ms: 20,
        codec: Codec::Pcmu,
        srtp: None,
    }
}

/// Calls of somebody who has a password.
fn known() -> Uac {
    Uac::new(Settings {
        from: Some("sip:alice@trunk.example.com".into()),
        account: Some(Account::new("alice", "wonderland")),
        ..settings(false)
    })
}

/// A challenge of a proxy.
fn challenge(nonce: &str, more: &str) -> String {
    format!("Proxy-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\"{more}\r\n")
}

const ASKS: &str = "407 Proxy Authentication Required";

fn sent(uac: &mut Uac) -> Vec<String> {
    uac.out.drain(..).map(|bytes| String::from_utf8(bytes).expect("text")).collect()
}

fn starts(messages: &[String]) -> Vec<&str> {
    messages.iter().filter_map(|message| message.split(" sip:").next()).collect()
}

fn answer(request: &str, status: &str, extra: &str) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.lines() {
        if let Some(to) = line.strip_prefix("To: ") {
            text += &format!("To: {to};tag=srv\r\n");
        } else if ["Via", "From", "Call-ID", "CSeq"].iter().any(|name| line.starts_with(name)) {
            text += &format!("{line}\r\n");
        }
    }
    format!("{text}{extra}\r\n").into_bytes()
}

fn accept(request: &str) -> Vec<u8> {
    let mut bytes = answer(request, "200 OK", "Contact: <sip:srv@127.0.0.1:5061>\r\n");
    bytes.extend_from_slice(b"c=IN IP4 127.0.0.1\r\nm=audio 9000 RTP/AVP 0\r\n");
    bytes
}

fn invite(uac: &mut Uac) -> String {
    uac.invite(3, "127.0.0.1:4000".parse().expect("address"), 0, 1_000);
    sent(uac).remove(0)
}

/// INVITE, 100, 180, 200, ACK to the contact, BYE, 200: one answer, one end, times by stamps.
#[test]
fn a_call_from_invite_to_bye() {
    let mut uac = uac(false);
    let request = invite(&mut uac);
    uac.receive(&answer(&request, "100 Trying", ""), 1, 1);
    uac.receive(&answer(&request, "180 Ringing", ""), 1, 1);
    uac.tick(2_000 * MS);
    assert!(sent(&mut uac).is_empty(), "a provisional answer ends retransmission");
    uac.receive(&accept(&request), 2, 5_000);
    let rtp = "127.0.0.1:9000".parse().expect("address");
    assert_eq!(
        uac.events.pop_front(),
        Some(Event::Answered { call: 3, rtp, keying: None, setup_ns: 4_000, at_ns: 5_000 })
    );
    let ack = sent(&mut uac).remove(0);
    assert!(ack.starts_with("ACK sip:srv@127.0.0.1:5061 SIP/2.0\r\n"));
    assert!(ack.contains(";tag=srv\r\n") && !ack.contains("branch=z9hG4bK3i"));
    uac.receive(&accept(&request), 3, 6_000);
    assert_eq!(sent(&mut uac), [ack]);
    uac.hang_up(3, 10, 7_000);
    let bye = sent(&mut uac).remove(0);
    assert!(bye.starts_with("BYE sip:srv@127.0.0.1:5061") && bye.contains("CSeq: 2 BYE"));
    uac.receive(&answer(&bye, "200 OK", ""), 11, 7_500);
    assert_eq!(uac.events.pop_front(), Some(Event::Ended { call: 3, bye_ns: Some(500) }));
    assert_eq!((uac.live(), uac.counters.repeated_answers, uac.counters.strange), (0, 1, 0));
}

/// Over UDP an INVITE goes out at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s and fails at 32 s
/// (RFC 3261 17.1.1.2); over a stream it is sent once.
#[test]
fn invite_timers() {
    let mut times = Vec::new();
    let mut uac_udp = uac(false);
    invite(&mut uac_udp);
    while let Some(time) = uac_udp.deadline() {
        uac_udp.tick(time);
        if !sent(&mut uac_udp).is_empty() {
            times.push(time / MS);
        }
        if let Some(event) = uac_udp.events.pop_front() {
            assert_eq!(event, Event::Failed { call: 3, why: Failure::Timeout });
            assert_eq!(time / MS, 32_000);
        }
    }
    assert_eq!(times, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    let mut uac_tcp = uac(true);
    assert!(invite(&mut uac_tcp).contains("SIP/2.0/TCP"));
    uac_tcp.tick(31_999 * MS);
    assert!(sent(&mut uac_tcp).is_empty() && uac_tcp.events.is_empty());
}

/// A refusal is acknowledged inside the INVITE's transaction, again for each repeat.
#[test]
fn a_refusal_is_acknowledged() {
    let mut uac = uac(false);
    let request = invite(&mut uac);
    for _ in 0..2 {
        uac.receive(&answer(&request, "503 Service Unavailable", ""), 1, 1);
        let ack = sent(&mut uac).remove(0);
        assert!(ack.starts_with("ACK sip:echo@") && ack.contains("branch=z9hG4bK3iabc"));
    }
    let why = Failure::Status(503);
    assert_eq!(uac.events.drain(..).collect::<Vec<_>>(), [Event::Failed { call: 3, why }]);
    uac.tick(LINGER_NS + 1);
    assert!(uac.calls.is_empty());
}

/// BYE is repeated until answered; a server's BYE is answered; CANCEL is for ringing calls.
#[test]
fn ends_from_both_sides() {
    let mut uac = uac(false);
    let request = invite(&mut uac);
    uac.receive(&accept(&request), 1, 1);
    sent(&mut uac);
    uac.hang_up(3, 0, 0);
    uac.tick(500 * MS);
    uac.tick(1_500 * MS);
    assert_eq!(starts(&sent(&mut uac)), ["BYE"; 3]);
    assert_eq!(uac.counters.retransmitted, 2);

    let mut uac = self::uac(false);
    let request = invite(&mut uac);
    uac.receive(&answer(&request, "180 Ringing", ""), 1, 1);
    uac.hang_up(3, 2, 2);
    let cancel = sent(&mut uac).remove(0);
    assert!(cancel.starts_with("CANCEL ") && cancel.contains("branch=z9hG4bK3iabc"));
    uac.receive(&accept(&request), 3, 3);
    let bye = b"BYE sip:perf3@127.0.0.1 SIP/2.0\r\nVia: x\r\nCall-ID: 3-abc\r\nCSeq: 1 BYE\r\n\r\n";
    sent(&mut uac);
    uac.receive(bye, 4, 4);
    assert!(sent(&mut uac).remove(0).starts_with("SIP/2.0 200 OK\r\nVia: x\r\n"));
    assert_eq!(uac.events.pop_back(), Some(Event::HungUp { call: 3 }));
    uac.receive(bye, 5, 5);
    assert!(sent(&mut uac).remove(0).starts_with("SIP/2.0 481 "));
}

/// A call that is asked whether it lives does; one that is to be changed stays what it is.
#[test]
fn a_session_is_refreshed() {
    let mut uac = uac(false);
    let request = invite(&mut uac);
    assert!(request.contains("UPDATE\r\n"), "{request}");
    uac.receive(&accept(&request), 1, 1);
    sent(&mut uac);
    let update = "UPDATE sip:perf3@h SIP/2.0\r\nVia: x\r\nCall-ID: 3-abc\r\nCSeq: 1 UPDATE\r\n\r\n";
    uac.receive(update.as_bytes(), 2, 2);
    let refreshed = sent(&mut uac).remove(0);
    assert!(refreshed.starts_with("SIP/2.0 200 ") && refreshed.contains("Contact: <sip:perf3@"));
    uac.receive(format!("{update}v=0\r\n").as_bytes(), 3, 3);
    assert!(sent(&mut uac).remove(0).starts_with("SIP/2.0 488 "));
    assert!(uac.events.iter().all(|event| !matches!(event, Event::HungUp { .. })));
}

/// Messages of other runs and things that are no SIP are counted and answered by nothing.
#[test]
fn strangers_are_counted() {
    let mut uac = uac(false);
    let request = invite(&mut uac).replace("3-abc", "3-abd");
    uac.receive(&accept(&request), 1, 1);
    uac.receive(b"\r\n\r\n", 1, 1);
    uac.receive(&[0xFF, 0xFE], 1, 1);
    assert_eq!((uac.counters.strange, uac.out.len(), uac.events.len()), (3, 0, 0));
}

/// The value of a header of a message.
fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let of_name = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    message.lines().find_map(of_name).unwrap_or_default()
}

/// A challenged INVITE is acknowledged within its transaction and sent again in another: the same
/// call, the next number, without a tag of the refusal; the ACK of the answer has its credentials,
/// and the BYE its own. The time to the answer is that from the first INVITE.
#[test]
fn a_challenge_is_answered() {
    let mut uac = known();
    let first = invite(&mut uac);
    assert_eq!(field(&first, "From"), "<sip:alice@trunk.example.com>;tag=3tabc");
    assert!(!first.contains("Authorization"), "{first}");
    let refusal = answer(&first, ASKS, &challenge("one", ""));
    uac.receive(&refusal, 1, 2_000);
    let messages = sent(&mut uac);
    let [ack, second] = &messages[..] else { panic!("{messages:?}") };
    assert!(ack.starts_with("ACK ") && !ack.contains("Authorization"), "{ack}");
    assert_eq!((field(ack, "Via"), field(ack, "CSeq")), (field(&first, "Via"), "1 ACK"));
    assert!(field(ack, "To").ends_with(";tag=srv") && uac.events.is_empty());
    assert_eq!(field(second, "CSeq"), "2 INVITE");
    assert_ne!(field(second, "Via"), field(&first, "Via"));
    for name in ["From", "To", "Call-ID", "Contact"] {
        assert_eq!(field(second, name), field(&first, name));
    }
    let proof = field(second, "Proxy-Authorization");
    assert!(proof.contains("nonce=\"one\"") && proof.contains("nc=00000001"), "{proof}");
    assert!(!second.contains("wonderland") && second.ends_with("a=sendrecv\r\n"), "{second}");

    // The refusal comes again, for its ACK was lost.
    uac.receive(&refusal, 2, 2_500);
    assert_eq!(sent(&mut uac), [ack.as_str()]);
    uac.receive(&answer(&first, "100 Trying", ""), 2, 2_600);
    uac.tick(500 * MS + 1);
    assert_eq!(sent(&mut uac), [second.as_str()], "nobody has taken the second one yet");

    uac.receive(&accept(second), 3, 5_000);
    let told = uac.events.pop_front();
    assert!(matches!(told, Some(Event::Answered { setup_ns: 4_000, .. })), "{told:?}");
    let ack = sent(&mut uac).remove(0);
    assert_eq!((field(&ack, "CSeq"), field(&ack, "Proxy-Authorization")), ("2 ACK", proof));

    uac.hang_up(3, 10, 7_000);
    let bye = sent(&mut uac).remove(0);
    assert_eq!(field(&bye, "CSeq"), "3 BYE");
    let proof = field(&bye, "Proxy-Authorization");
    assert!(proof.contains("uri=\"sip:srv@127.0.0.1:5061\"") && proof.contains("nc=00000002"));
    // The nonce has become too old meanwhile.
    let refusal = answer(&bye, ASKS, &challenge("two", ", stale=true"));
    uac.receive(&refusal, 11, 7_200);
    uac.receive(&refusal, 12, 7_300);
    let byes = sent(&mut uac);
    assert_eq!(byes.len(), 1, "{byes:?}");
    let proof = field(&byes[0], "Proxy-Authorization");
    assert!(proof.contains("nonce=\"two\"") && field(&byes[0], "CSeq") == "4 BYE", "{proof}");
    uac.receive(&answer(&byes[0], "200 OK", ""), 13, 7_500);
    assert_eq!(uac.events.pop_front(), Some(Event::Ended { call: 3, bye_ns: Some(500) }));
    let Counters { challenged, repeated_answers, strange, .. } = uac.counters;
    assert_eq!((challenged, repeated_answers, strange, uac.live()), (2, 2, 0, 0));
}

/// A call whose caller is not known, or not believed, fails with the reason; each refusal is
/// acknowledged. So it is with one that nobody wants any more: it is not placed again.
#[test]
fn a_caller_is_not_believed() {
    let failed = |uac: &mut Uac| match uac.events.pop_front() {
        Some(Event::Failed { call: 3, why }) => why,
        other => panic!("{other:?}"),
    };
    let mut nobody = uac(false);
    let first = invite(&mut nobody);
    nobody.receive(&answer(&first, ASKS, &challenge("one", "")), 1, 1);
    assert_eq!(starts(&sent(&mut nobody)), ["ACK"]);
    assert_eq!(failed(&mut nobody), Failure::Denied(Denied::NoAccount));

    let mut wrong = known();
    let first = invite(&mut wrong);
    wrong.receive(&answer(&first, ASKS, &challenge("one", "")), 1, 1);
    let second = sent(&mut wrong).remove(1);
    wrong.receive(&answer(&second, ASKS, &challenge("two", ", stale=false")), 2, 2);
    let ack = sent(&mut wrong);
    assert_eq!((starts(&ack), field(&ack[0], "CSeq")), (vec!["ACK"], "2 ACK"));
    assert_eq!(field(&ack[0], "Via"), field(&second, "Via"));
    let why = failed(&mut wrong);
    assert_eq!(why, Failure::Denied(Denied::Refused));
    assert_eq!(why.to_string(), "the trunk refuses these credentials");

    let mut left = known();
    let first = invite(&mut left);
    left.receive(&answer(&first, "180 Ringing", ""), 1, 1);
    left.hang_up(3, 2, 2);
    left.receive(&answer(&first, ASKS, &challenge("one", "")), 3, 3);
    assert_eq!(starts(&sent(&mut left)), ["CANCEL", "ACK"]);
    assert_eq!(failed(&mut left), Failure::Status(407));
}

/// A BYE that is not believed has not ended the call.
#[test]
fn a_bye_is_not_believed() {
    let mut uac = uac(false);
    let request = invite(&mut uac);
    uac.receive(&accept(&request), 1, 1);
    uac.hang_up(3, 2, 2);
    let bye = sent(&mut uac).remove(1);
    uac.receive(&answer(&bye, "401 Unauthorized", ""), 3, 3);
    assert_eq!(uac.events.pop_back(), Some(Event::Ended { call: 3, bye_ns: None }));
    assert!(sent(&mut uac).is_empty());
}
