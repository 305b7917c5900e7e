//! Captures: what is kept, what is blanked, and what the file says.

use std::net::SocketAddr;
use std::time::Duration;

use media::time::MonoTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::config::CapturesConfig;

const LOCAL: &str = "192.0.2.1:5060";
const PEER: &str = "192.0.2.9:5062";
/// As many messages as there are.
const ALL: usize = usize::MAX;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn message(text: &str) -> Message {
    Message {
        at: MonoTime::from_nanos(1_000_000_000),
        incoming: true,
        transport: "UDP",
        local: address(LOCAL),
        peer: address(PEER),
        bytes: text.as_bytes().to_vec(),
    }
}

/// A request of the peer within the dialog of this tag of ours: all have one Call-ID.
fn sip(tag: &str) -> String {
    format!("INFO sip:a@b SIP/2.0\r\nTo: <sip:a@b>;tag={tag}\r\nCall-ID: one\r\n\r\n")
}

/// The dialog of a tag of ours.
fn dialog(tag: &str) -> Dialog<'_> {
    Dialog { tag, invite: None }
}

/// Datagrams of a file, as (from, to, UDP payload); what headers say of lengths is checked.
fn datagrams(file: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    assert_eq!(file[..4], 0xa1b2_c3d4_u32.to_le_bytes());
    let mut rest = &file[24..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        let (kept, whole) = (word(8), word(12));
        let packet = &rest[16..16 + kept];
        assert_eq!(packet[0], 0x45);
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), whole);
        let sum: u32 = packet[..20]
            .chunks_exact(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the header's checksum");
        found.push((packet[12..16].to_vec(), packet[16..20].to_vec(), packet[28..].to_vec()));
        rest = &rest[16 + kept..];
    }
    found
}

/// Credentials and keys are gone, folded lines included, and no length has changed.
#[test]
fn secrets_are_blanked() {
    let text = "REGISTER sip:a SIP/2.0\r\nCall-ID: 7\r\n\
                authorization : Digest username=\"bob\",\r\n response=\"5ec4e7\"\r\n\
                Proxy-Authorization: Digest response=\"5ec4e7\"\r\nX: authorization: no\r\n\r\n\
                v=0\r\nk=clear:5ec4e7\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:5ec4e7|2^20\r\n\
                a=sendrecv\r\n";
    let mut bytes = text.as_bytes().to_vec();
    redact::redact(&mut bytes);
    let blanked = String::from_utf8(bytes).unwrap();
    assert_eq!(blanked.len(), text.len());
    for gone in ["5ec4e7", "bob", "username"] {
        assert!(!blanked.contains(gone), "{blanked}");
    }
    for kept in ["X: authorization: no", "AES_CM_128_HMAC_SHA1_80 inline:x", "a=sendrecv"] {
        assert!(blanked.contains(kept), "{blanked}");
    }
}

/// Passwords in URIs are gone wherever they stand; users, hosts and ports stay.
#[test]
fn passwords_in_uris_are_blanked() {
    for (line, expected) in [
        ("INVITE sip:bob:5ec4e7@a:5060 SIP/2.0", "INVITE sip:bob:xxxxxx@a:5060 SIP/2.0"),
        ("To: <SIPS:bob:p%40@a>;x=1, sip:al@b:5062", "To: <SIPS:bob:xxxx@a>;x=1, sip:al@b:5062"),
        ("m: <sip:a.example:5060;transport=tcp>", "m: <sip:a.example:5060;transport=tcp>"),
        ("Route: <sip:1.2.3.4:5060>,<sip:u:p@h>", "Route: <sip:1.2.3.4:5060>,<sip:u:x@h>"),
        ("Subject: sip:", "Subject: sip:"),
    ] {
        let mut bytes = line.as_bytes().to_vec();
        redact::redact(&mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}

proptest! {
    /// Whatever a message is, it is survived and keeps its length.
    #[test]
    fn anything_is_redacted(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("sip:".to_owned()), Just("@".to_owned()), Just(":".to_owned()),
                Just("\r\n".to_owned()), Just("Authorization: ".to_owned()), "[ -~]{0,4}",
            ],
            0..24,
        ),
    ) {
        let mut bytes = pieces.concat().into_bytes();
        let before = bytes.clone();
        redact::redact(&mut bytes);
        prop_assert_eq!(bytes.len(), before.len());
        let kept = |(now, then): (&u8, &u8)| now == then || *now == b'x';
        prop_assert!(bytes.iter().zip(&before).all(kept));
    }
}

/// Messages wait for their call, the latest packets are kept, and the file has all in their order
/// with the right ends.
#[test]
fn a_file_has_messages_and_the_latest_packets() {
    let mut registry = Registry::new(true, CapturesConfig::default());
    registry.message(message(&sip("one")));
    registry.message(message(&sip("other")));
    let (id, (mut head, ring)) = (Uuid::now_v7(), head());
    let (rtp, rtcp) = (address("192.0.2.1:20000"), address("192.0.2.1:20001"));
    let at = |n: u32| MonoTime::from_nanos(2_000_000_000) + Duration::from_millis(20) * n;
    registry.begin(at(0), (id, Uuid::now_v7()), dialog("one"), ring, (rtp, rtcp)).unwrap();
    let peer = address("192.0.2.9:4000");
    for n in 0..4_000_u32 {
        let kind = if n % 2 == 0 { Kind::RtpIn } else { Kind::RtpOut };
        head.take(at(n), kind, peer, &n.to_be_bytes().repeat(100));
    }
    head.take(at(4_000), Kind::RtcpIn, address("192.0.2.9:4001"), b"report");
    registry.end(id, at(4_000));
    let file = registry.draft(at(5_000), id).unwrap().pcap();
    let found = datagrams(&file);
    assert_eq!(found.len(), 1 + PACKETS_MAX);
    assert_eq!(found[0].2, sip("one").as_bytes());
    let numbers: Vec<u32> = found[1..PACKETS_MAX]
        .iter()
        .map(|(from, to, payload)| {
            assert_eq!(payload.len(), PACKET_BYTES_MAX, "of 400 bytes");
            let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
            let ends = [[192, 0, 2, 9], [192, 0, 2, 1]];
            let (a, b) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
            assert_eq!((&from[..], &to[..]), (&ends[a][..], &ends[b][..]));
            number
        })
        .collect();
    assert!(numbers.iter().eq(&(1_001..4_000).collect::<Vec<_>>()));
    assert_eq!(found[PACKETS_MAX].2, b"report");
    let shown = serde_json::to_value(registry.messages(at(5_000), id, 0, ALL).unwrap()).unwrap();
    assert_eq!(shown[0]["summary"], "INFO sip:a@b SIP/2.0");
    assert_eq!((&shown[0]["from"], &shown[0]["to"]), (&PEER.into(), &LOCAL.into()));
    assert!(registry.messages(at(0), Uuid::now_v7(), 0, ALL).is_none());
}

/// Begins a capture of a call of this organisation, whose messages are of dialog `number`.
fn begin(
    registry: &mut Registry,
    now: MonoTime,
    organisation: Uuid,
    number: usize,
) -> Result<Uuid, CaptureError> {
    let id = Uuid::now_v7();
    let ends = (address(LOCAL), address(LOCAL));
    let tag = number.to_string();
    registry.begin(now, (id, organisation), dialog(&tag), head().1, ends).map(|()| id)
}

/// Calls of two organisations may have one Call-ID, because a carrier in front of both keeps it or
/// because somebody wants it so: each has its own messages, from the INVITE on, and those by which
/// its caller was asked who it is. A file that is not written yet holds what was there.
#[test]
fn one_call_id_for_two_calls() {
    let bounds = CapturesConfig { calls: 2, calls_per_organisation: 2, keep: None };
    let mut registry = Registry::new(true, bounds);
    let now = MonoTime::ZERO;
    let fields = |branch: &str, from: &str| {
        format!(
            "Via: SIP/2.0/UDP 192.0.2.9:5062;branch={branch};rport\r\nCall-ID: one\r\n\
             From: <sip:c@d>;tag={from}\r\nCSeq: 1 INVITE\r\nTo: <sip:a@b>"
        )
    };
    let asks = |branch: &str, from: &str| {
        message(&format!("INVITE sip:a@b SIP/2.0\r\n{}\r\n\r\n", fields(branch, from)))
    };
    let says = |status: u16, branch: &str, from: &str, tag: &str| {
        let text = format!("SIP/2.0 {status} x\r\n{};tag={tag}\r\n\r\n", fields(branch, from));
        Message { incoming: false, ..message(&text) }
    };
    let summaries = |registry: &Registry, id: Uuid| {
        let shown = registry.messages(now, id, 0, ALL).unwrap();
        let shown = serde_json::to_value(shown).unwrap();
        let all: Vec<String> = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["summary"].as_str().unwrap().split(' ').nth(1).unwrap().to_owned())
            .collect();
        all.join(" ")
    };
    // Both were asked who they are; one caller says what the other does, but in its transaction.
    for (branch, from) in [("a", "x"), ("b", "y")] {
        registry.message(asks(branch, from));
        registry.message(says(401, branch, from, &format!("refused {branch}")));
        registry.message(asks(&format!("{branch}2"), from));
    }
    registry.message(asks("c", "x"));
    let ends = (address(LOCAL), address(LOCAL));
    let [first, second] = [("a2", "x", "one"), ("b2", "y", "two")].map(|(branch, from, tag)| {
        let invite = asks(branch, from);
        let dialog = Dialog { tag, invite: Some((&invite.bytes, invite.peer)) };
        let id = Uuid::now_v7();
        registry.begin(now, (id, Uuid::now_v7()), dialog, head().1, ends).unwrap();
        id
    });
    let draft = registry.draft(now, first).unwrap();
    registry.message(says(100, "a2", "x", ""));
    registry.message(says(180, "b2", "y", "two"));
    registry.message(message(&sip("one")));
    registry.message(message(&sip("three")));
    assert_eq!(summaries(&registry, first), "sip:a@b 401 sip:a@b 100 sip:a@b");
    assert_eq!(summaries(&registry, second), "sip:a@b 401 sip:a@b 180");
    registry.end(first, now);
    begin(&mut registry, now, Uuid::now_v7(), 2).unwrap();
    assert!(registry.messages(now, first, 0, ALL).is_none(), "it gave way");
    registry.message(message(&sip("two")));
    assert_eq!(registry.messages(now, second, 0, ALL).unwrap().len(), 5);
    assert_eq!(datagrams(&draft.pcap()).len(), 3);
}

/// A capture that begins within a call has what waited since the call began.
#[test]
fn what_waited_is_found_by_our_tag() {
    let mut registry = Registry::new(true, CapturesConfig::default());
    let head_of =
        "Via: SIP/2.0/UDP a;branch=b\r\nCall-ID: one\r\nFrom: <sip:c>;tag=x\r\nTo: <sip:d>";
    registry.message(message(&format!("INVITE sip:d SIP/2.0\r\n{head_of}\r\n\r\n")));
    let answer = message(&format!("SIP/2.0 200 OK\r\n{head_of};tag=7\r\n\r\n"));
    registry.message(Message { incoming: false, ..answer });
    let id = begin(&mut registry, MonoTime::ZERO, Uuid::now_v7(), 7).unwrap();
    assert_eq!(registry.messages(MonoTime::ZERO, id, 0, ALL).unwrap().len(), 2);
}

/// Where another server is asked, or another peer takes over, messages of both dialogs are there:
/// those too that came before it was known whose they are. Afterwards none is known any more.
#[test]
fn a_call_has_several_dialogs() {
    let bounds = CapturesConfig { calls: 1, calls_per_organisation: 1, keep: None };
    let mut registry = Registry::new(true, bounds);
    let (now, own) = (MonoTime::ZERO, Uuid::now_v7());
    let id = begin(&mut registry, now, own, 1).unwrap();
    registry.message(message(&sip("2")));
    for _ in 0..2 {
        registry.goes_on(id, "2");
    }
    for tag in ["1", "2", "3"] {
        registry.message(message(&sip(tag)));
    }
    assert_eq!(registry.messages(now, id, 0, ALL).unwrap().len(), 3);
    for tag in 0..2 * DIALOGS_MAX {
        registry.goes_on(id, &format!("more {tag}"));
    }
    registry.message(message(&sip("more 40")));
    assert_eq!(registry.messages(now, id, 0, ALL).unwrap().len(), 3, "bounded");
    registry.end(id, now);
    let next = begin(&mut registry, now, own, 4).unwrap();
    for tag in ["1", "2"] {
        registry.message(message(&sip(tag)));
    }
    assert!(registry.messages(now, next, 0, ALL).unwrap().is_empty());
    registry.goes_on(id, "4");
    registry.message(message(&sip("4")));
    assert_eq!(registry.messages(now, next, 0, ALL).unwrap().len(), 1);
}

/// Messages of a call that is over are there until they are written, though another capture has
/// its room by then, and take in those that came last.
#[test]
fn messages_stay_until_they_are_written() {
    let bounds = CapturesConfig { calls: 1, calls_per_organisation: 1, keep: None };
    let mut registry = Registry::new(false, bounds);
    let mut ended = registry.ended();
    let (now, own) = (MonoTime::ZERO, Uuid::now_v7());
    let mut next = |registry: &mut Registry, number| {
        let id = begin(registry, now, own, number).unwrap();
        registry.message(message(&sip(&number.to_string())));
        registry.end(id, now);
        assert_eq!(ended.try_recv().unwrap(), (id, now));
        id
    };
    let first = next(&mut registry, 1);
    let second = next(&mut registry, 2);
    registry.message(message(&sip("1")));
    assert!(registry.draft(now, first).is_none(), "packets gave way");
    assert_eq!(registry.messages(now, first, 0, ALL).unwrap().len(), 2);
    registry.written(first);
    assert!(registry.messages(now, first, 0, ALL).is_none());
    registry.written(second);
    let third = next(&mut registry, 3);
    assert!(registry.messages(now, second, 0, ALL).is_none(), "it was written, and gave way");
    // Nobody writes: memory is bounded all the same.
    let more: Vec<_> = (4..9).map(|number| next(&mut registry, number)).collect();
    let left = |id: &&Uuid| registry.messages(now, **id, 0, ALL).is_some();
    assert_eq!([third].iter().chain(&more).filter(left).count(), 2);
}

/// No organisation takes the room of the others: at its limit its own captures give way, and while
/// all of them live it gets no more.
#[test]
fn an_organisation_has_its_share() {
    let bounds = CapturesConfig { calls: 8, calls_per_organisation: 3, keep: None };
    let mut registry = Registry::new(false, bounds);
    let (greedy, other) = (Uuid::now_v7(), Uuid::now_v7());
    let now = MonoTime::ZERO;
    let theirs = begin(&mut registry, now, other, 100).unwrap();
    registry.end(theirs, now);
    let own: Vec<_> = (0..3).map(|n| begin(&mut registry, now, greedy, n).unwrap()).collect();
    assert_eq!(begin(&mut registry, now, greedy, 3), Err(CaptureError::Full));
    registry.end(own[1], now);
    begin(&mut registry, now, greedy, 4).unwrap();
    assert!(registry.messages(now, own[1], 0, ALL).is_none(), "it gave way");
    assert!(registry.messages(now, theirs, 0, ALL).is_some(), "older, but of another");
}

/// What is over goes after its time, what lives stays however long it lasts.
#[test]
fn captures_grow_old() {
    let keep = Some(Duration::from_secs(60));
    let mut registry =
        Registry::new(false, CapturesConfig { calls: 8, calls_per_organisation: 8, keep });
    let at = |s: u64| MonoTime::ZERO + Duration::from_secs(s);
    let own = Uuid::now_v7();
    let [over, living] = [0, 1].map(|n| begin(&mut registry, at(0), own, n).unwrap());
    registry.end(over, at(100));
    registry.forget_old(at(159));
    assert!(registry.draft(at(159), over).is_some());
    registry.forget_old(at(160));
    assert!(registry.draft(at(160), over).is_none());
    registry.forget_old(at(100_000));
    assert!(registry.draft(at(100_000), living).is_some());
}

/// Long messages fill neither a call's share of the memory nor that of those that nobody has asked
/// for yet: strangers send as many as they like.
#[test]
fn long_messages_are_bounded() {
    let long = |id: usize| message(&format!("{}{}", sip(&id.to_string()), "x".repeat(60_000)));
    let mut registry = Registry::new(true, CapturesConfig::default());
    let own = Uuid::now_v7();
    let id = begin(&mut registry, MonoTime::ZERO, own, 0).unwrap();
    for _ in 0..MESSAGES_MAX {
        registry.message(long(0));
    }
    let kept = registry.messages(MonoTime::ZERO, id, 0, ALL).unwrap().len();
    assert_eq!(kept, MESSAGES_BYTES_MAX / MESSAGE_BYTES_MAX);
    for n in 1..=WAITING_MAX {
        registry.message(long(n));
    }
    let last = begin(&mut registry, MonoTime::ZERO, own, WAITING_MAX).unwrap();
    assert_eq!(registry.messages(MonoTime::ZERO, last, 0, ALL).unwrap().len(), 1);
    let room = WAITING_BYTES_MAX / MESSAGE_BYTES_MAX;
    let gone = begin(&mut registry, MonoTime::ZERO, own, WAITING_MAX - room).unwrap();
    assert!(registry.messages(MonoTime::ZERO, gone, 0, ALL).unwrap().is_empty());
}

/// Memory is bounded: calls that are over give way, living ones do not, messages have an end.
#[test]
fn captures_are_bounded() {
    let bounds = CapturesConfig { calls: 9, calls_per_organisation: 9, keep: None };
    let mut registry = Registry::new(false, bounds);
    assert!(!registry.is_armed(), "nothing is kept for nobody");
    let begin = |registry: &mut Registry, number: usize| {
        begin(registry, MonoTime::ZERO, Uuid::now_v7(), number)
    };
    let ids: Vec<_> = (0..9).map(|n| begin(&mut registry, n).unwrap()).collect();
    assert!(registry.is_armed());
    assert_eq!(begin(&mut registry, 1_000), Err(CaptureError::Full));
    let mut ended = registry.ended();
    let over_at = MonoTime::from_nanos(5);
    registry.end(ids[5], over_at);
    registry.end(Uuid::now_v7(), over_at);
    assert_eq!(ended.try_recv().unwrap(), (ids[5], over_at));
    assert!(ended.try_recv().is_err(), "of what was not captured");
    assert!(registry.messages(MonoTime::ZERO, ids[5], 0, ALL).is_some());
    registry.written(ids[5]);
    let newest = begin(&mut registry, 1_001).unwrap();
    assert!(registry.messages(MonoTime::ZERO, ids[5], 0, ALL).is_none());
    for _ in 0..MESSAGES_MAX + 10 {
        registry.message(message(&sip("1001")));
    }
    assert_eq!(registry.messages(MonoTime::ZERO, newest, 0, ALL).unwrap().len(), MESSAGES_MAX);
    let page = registry.messages(MonoTime::ZERO, newest, 250, 4).unwrap();
    assert_eq!(page.iter().map(|it| it.sequence).collect::<Vec<_>>(), [251, 252, 253, 254]);
    assert_eq!(registry.messages(MonoTime::ZERO, newest, 254, 4).unwrap().len(), 2);
    assert!(registry.messages(MonoTime::ZERO, newest, usize::MAX, 4).unwrap().is_empty());
    let mut registry = Registry::new(true, bounds);
    for n in 0..WAITING_MAX * 2 {
        registry.message(message(&sip(&n.to_string())));
    }
    let first = begin(&mut registry, 0).unwrap();
    assert_eq!(
        registry.messages(MonoTime::ZERO, first, 0, ALL).unwrap().len(),
        0,
        "waited too long"
    );
    let last = begin(&mut registry, WAITING_MAX * 2 - 1).unwrap();
    assert_eq!(registry.messages(MonoTime::ZERO, last, 0, ALL).unwrap().len(), 1);
}
