//! Body of the fuzz target: sequences of registrations.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use media::time::MonoTime;

use super::{CONTACTS_MAX, Expiry, Registrar};
use crate::sip::core::endpoint::{Flow, Transport};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;

/// Users that register.
const USERS: [&str; 3] = ["alice", "bob", "carol"];
/// Contacts that they have.
const CONTACTS: [&str; 12] = [
    "<sip:a@192.0.2.1>",
    "<sip:a@192.0.2.1>;expires=0",
    "<sip:a@192.0.2.1:5070;transport=tcp>;q=0.5;expires=60",
    "sip:b@192.0.2.2;expires=4294967296",
    "<sip:A@192.0.2.1>;q=1.0",
    "*",
    "<sip:c@192.0.2.3>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
    "<sip:d@192.0.2.4>;+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=61",
    "<sip:e@192.0.2.5>;expires=59",
    "<tel:+4930>",
    "<sip:f@192.0.2.6>, <sip:f@192.0.2.6>;expires=100",
    "",
];
/// What else may stand in their requests.
const EXTRAS: [&str; 7] = [
    "",
    "Expires: 0\r\n",
    "Expires: 30\r\n",
    "Expires: x\r\n",
    "Path: <sip:p@192.0.2.9;lr>\r\nSupported: path\r\n",
    "Path: <sip:p@192.0.2.9;lr>\r\n",
    "Expires: 7000\r\n",
];

/// Registers, lets time pass and closes connections as the octets say. Nobody ever has more
/// contacts than there may be, none outlives its time, and in the end nothing is left.
pub fn sip_registrar(octets: &[u8]) {
    let mut registrar = Registrar::new(Expiry::default());
    let mut now = MonoTime::from_nanos(1);
    let mut input = octets.iter().copied();
    while let Some(operation) = input.next() {
        let mut next = || usize::from(input.next().unwrap_or(0));
        match operation % 8 {
            0..6 => {
                let (user, contact, extra, number) = (next(), next(), next(), next());
                let request = request(user, contact, extra, number, operation);
                register(&mut registrar, now, user, number, request);
            }
            6 => registrar.handle_closed(next() as u64 % 4),
            _ => {
                let seconds = next() as u64;
                now += Duration::from_secs(seconds * seconds);
                registrar.expire(now);
            }
        }
        assert!(registrar.len() <= USERS.len() * CONTACTS_MAX);
        assert!(registrar.deadline().is_none_or(|due| due > now || operation % 8 < 7));
    }
    while let Some(due) = registrar.deadline() {
        registrar.expire(due);
    }
    assert!(registrar.is_empty() && registrar.users.is_empty());
}

fn pick<'t>(table: &[&'t str], index: usize) -> &'t str {
    table.get(index.checked_rem(table.len()).unwrap_or(0)).copied().unwrap_or_default()
}

fn request(user: usize, contact: usize, extra: usize, number: usize, call: u8) -> Option<Message> {
    let (user, contact) = (pick(&USERS, user), pick(&CONTACTS, contact));
    let contact =
        if contact.is_empty() { String::new() } else { format!("Contact: {contact}\r\n") };
    let extra = pick(&EXTRAS, extra);
    let text = format!(
        "REGISTER sip:talkpath SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
         From: <sip:{user}@talkpath>;tag=1\r\nTo: <sip:{user}@talkpath>\r\nCall-ID: {call}\r\n\
         CSeq: {number} REGISTER\r\n{contact}{extra}\r\n"
    );
    Message::parse(Bytes::from(text)).ok()
}

fn register(
    registrar: &mut Registrar,
    now: MonoTime,
    user: usize,
    number: usize,
    request: Option<Message>,
) {
    let Some(request) = request else { return };
    let address = |last| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), 5060);
    let connection = number as u64 % 4;
    let transport = if connection == 0 { Transport::Udp } else { Transport::Tcp };
    let flow = Flow { transport, local: address(100), peer: address(1), connection };
    let user = pick(&USERS, user);
    let answer = registrar.register(now, user, flow, &request);
    assert!(matches!(answer.status, 200 | 400 | 403 | 423 | 500));
    let targets = registrar.targets(now, user);
    assert!(targets.len() <= CONTACTS_MAX);
    if answer.status == 200 {
        let listed = answer.headers.iter().filter(|(name, _)| *name == HeaderName::Contact);
        assert_eq!(listed.count(), targets.len());
    }
}
