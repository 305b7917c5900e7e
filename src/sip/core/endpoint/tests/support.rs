//! An endpoint with its clock, fed with text.

use std::time::Duration;

use bytes::Bytes;
use media::time::MonoTime;

use super::super::*;
use crate::sip::core::{HeaderName, Message};

pub(super) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n\
    t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// An endpoint at 198.51.100.7 and its peer at 192.0.2.1.
pub(super) struct Ua {
    pub(super) endpoint: Endpoint,
    pub(super) now: MonoTime,
    pub(super) flow: Flow,
}

pub(super) fn flow(transport: Transport) -> Flow {
    Flow {
        transport,
        local: "198.51.100.7:5060".parse().unwrap(),
        peer: "192.0.2.1:5060".parse().unwrap(),
        connection: u64::from(transport == Transport::Tcp),
    }
}

impl Ua {
    pub(super) fn new() -> Self {
        Self::with(EndpointConfig::default(), Transport::Udp)
    }

    pub(super) fn with(config: EndpointConfig, transport: Transport) -> Self {
        let mut endpoint = Endpoint::new(config, 1);
        endpoint.handle_connected(1);
        Self { endpoint, now: MonoTime::from_nanos(1), flow: flow(transport) }
    }

    /// Lets the peer send a message: lines, an empty line, a body. Content-Length is added.
    pub(super) fn receive(&mut self, text: &str) {
        self.receive_from(self.flow, text);
    }

    pub(super) fn receive_from(&mut self, flow: Flow, text: &str) {
        self.endpoint.handle_datagram(self.now, flow, wire(text));
    }

    /// What was sent since.
    pub(super) fn sent(&mut self) -> Vec<Message> {
        self.transmits().into_iter().map(|t| Message::parse(t.bytes).unwrap()).collect()
    }

    pub(super) fn transmits(&mut self) -> Vec<Transmit> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).collect()
    }

    /// Start lines of what was sent since: statuses and methods.
    pub(super) fn lines(&mut self) -> Vec<String> {
        self.sent().iter().map(line).collect()
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    /// The only event since.
    pub(super) fn event(&mut self) -> Event {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// Lets time pass, with every deadline on the way.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.endpoint.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Everything is over and forgotten after the longest timers.
    pub(super) fn assert_empty(&mut self) {
        self.pass(1_000_000);
        assert_eq!((self.endpoint.calls(), self.endpoint.transactions()), (0, (0, 0)));
        assert_eq!(self.endpoint.deadline(), None);
        assert!(self.endpoint.call_tags.is_empty() && self.endpoint.server_keys.is_empty());
        assert!(self.endpoint.merges.is_empty() && self.endpoint.client_keys.is_empty());
    }
}

/// A message of lines, with Content-Length.
pub(super) fn wire(text: &str) -> Bytes {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let head = head.replace("\r\n", "\n").replace('\n', "\r\n");
    Bytes::from(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

/// Status or method.
pub(super) fn line(message: &Message) -> String {
    match message.status() {
        Some(status) => status.to_string(),
        None => message.method().unwrap().to_string(),
    }
}

pub(super) fn header(message: &Message, name: HeaderName) -> String {
    message.header(name).unwrap_or_default().to_owned()
}

/// A request of the peer with the given number and branch; `extra` are lines and a body.
pub(super) fn request(method: &str, to_tag: &str, cseq: u32, branch: &str, extra: &str) -> String {
    let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    format!(
        "{method} sip:us@198.51.100.7 SIP/2.0\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\n\
         From: <sip:them@192.0.2.1>;tag=theirs\nTo: <sip:us@198.51.100.7>{to_tag}\nCall-ID: c1\n\
         CSeq: {cseq} {method}\nContact: <sip:them@192.0.2.1:5062>\nMax-Forwards: 70\n{extra}"
    )
}

pub(super) fn with_sdp(lines: &str) -> String {
    format!("{lines}Content-Type: application/sdp\n\n{SDP}")
}

/// A response of the peer to a request of ours; `extra` are lines and a body.
pub(super) fn response(to: &Message, status: u16, tag: &str, extra: &str) -> String {
    let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    let has_tag = to.to().unwrap().tag().is_some();
    format!(
        "SIP/2.0 {status} Reason\nVia: {}\nFrom: {}\nTo: {}{}\nCall-ID: {}\nCSeq: {}\n\
         Contact: <sip:callee@192.0.2.1:5070>\n{extra}",
        header(to, HeaderName::Via),
        header(to, HeaderName::From),
        header(to, HeaderName::To),
        if has_tag { "" } else { &tag },
        header(to, HeaderName::CallId),
        header(to, HeaderName::CSeq),
    )
}
