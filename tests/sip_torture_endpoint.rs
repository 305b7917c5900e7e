//! RFC 4475 again, now what a user agent answers: the message layer's verdicts are in
//! `sip_torture.rs`, here are those that need knowledge of methods, extensions and bodies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use media::time::MonoTime;
use talkpath::sip::core::Message;
use talkpath::sip::core::endpoint::{Endpoint, EndpointConfig, Event, Flow, Transport};

/// What is sent in reply to one datagram, and whether a call began.
fn reply_to(octets: &[u8]) -> (Vec<Message>, bool) {
    let mut endpoint = Endpoint::new(EndpointConfig::default(), 1);
    let flow = Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        peer: "192.0.2.2:5060".parse().unwrap(),
        connection: 0,
    };
    endpoint.handle_datagram(MonoTime::from_nanos(1), flow, Bytes::copy_from_slice(octets));
    let sent = std::iter::from_fn(|| endpoint.poll_transmit())
        .map(|transmit| Message::parse(transmit.bytes).unwrap())
        .collect();
    let began = std::iter::from_fn(|| endpoint.poll_event())
        .any(|event| matches!(event, Event::Incoming { .. }));
    (sent, began)
}

/// Name of the file, status of the one response (0 for none), header that must explain it.
const TABLE: &[(&str, u16, &str)] = &[
    // 3.1.1 Valid messages
    ("wsinv", 481, ""), // it has a tag in To, and there is no such dialog
    ("intmeth", 501, "Allow"),
    ("esc01", 100, ""),
    ("escnull", 405, "Allow"),
    ("esc02", 501, "Allow"), // an escaped method is not the method
    ("lwsdisp", 200, "Accept"),
    ("longreq", 100, ""),
    ("dblreq", 405, "Allow"),
    ("semiuri", 200, "Allow"),
    ("transports", 200, "Allow"),
    ("mpart01", 405, "Allow"),
    ("unreason", 0, ""),
    ("noreason", 0, ""),
    // 3.1.2 Invalid messages
    ("badinv01", 400, ""),
    ("clerr", 400, ""),
    ("ncl", 400, ""),
    ("scalar02", 400, ""),
    ("scalarlg", 0, ""),
    ("quotbal", 400, ""),
    ("ltgtruri", 400, ""),
    ("lwsruri", 400, ""),
    ("lwsstart", 400, ""),
    ("trws", 400, ""),
    ("escruri", 400, ""),
    ("baddate", 100, ""),
    ("regbadct", 400, ""),
    ("badaspec", 200, "Allow"),
    ("baddn", 200, "Allow"),
    ("badvers", 505, ""),
    ("mismatch01", 400, ""),
    ("mismatch02", 400, ""), // 501 would do as well
    ("bigcode", 0, ""),
    // 3.2 Transaction layer semantics
    ("badbranch", 400, ""),
    // 3.3 Application layer semantics
    ("insuf", 400, ""),
    ("unkscm", 416, ""),
    ("novelsc", 416, ""),
    ("unksm2", 405, "Allow"),
    ("bext01", 420, "Unsupported"),
    ("invut", 415, "Accept"),
    ("regaut01", 405, "Allow"),
    ("multi01", 400, ""),
    ("mcl01", 400, ""),
    ("bcast", 0, ""),         // its topmost Via is not ours
    ("zeromf", 200, "Allow"), // it has arrived: only who passes it on must refuse
    ("cparam01", 405, "Allow"),
    ("cparam02", 405, "Allow"),
    ("regescrt", 405, "Allow"),
    ("sdp01", 100, ""), // 406 is allowed; who does not accept SDP will find out at the answer
    // 3.4 Backward compatibility
    ("inv2543", 100, ""),
];

/// Every message of the RFC gets what the table says, by one datagram at most.
#[test]
fn every_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sip/torture");
    for (name, status, explains) in TABLE {
        let (sent, began) = reply_to(&fs::read(folder.join(format!("{name}.dat"))).unwrap());
        let statuses: Vec<u16> = sent.iter().filter_map(Message::status).collect();
        let expected: &[u16] = if *status == 0 { &[] } else { &[*status] };
        assert_eq!(statuses, expected, "{name}");
        assert_eq!(began, *status == 100, "{name}");
        if !explains.is_empty() {
            assert!(sent[0].header_named(explains).is_some(), "{name}");
        }
    }
    let named: BTreeSet<String> = TABLE.iter().map(|(name, _, _)| format!("{name}.dat")).collect();
    let files = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name());
    let files: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(named, files);
}
