//! SIP messages as text: what a caller writes, and what it must read of the answers.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::link::Transport;
use crate::sound::Codec;
use crate::srtp::Keying;

/// A message as read: start line, header lines, body.
#[derive(Clone, Debug)]
pub(crate) struct Message<'a> {
    start: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    /// What follows the empty line.
    pub(crate) body: &'a str,
}

/// Compact forms (RFC 3261 7.3.3) of the headers used here.
fn long_name(name: &str) -> &str {
    match name {
        "v" | "V" => "Via",
        "f" | "F" => "From",
        "t" | "T" => "To",
        "i" | "I" => "Call-ID",
        "m" | "M" => "Contact",
        "l" | "L" => "Content-Length",
        "c" | "C" => "Content-Type",
        other => other,
    }
}

impl<'a> Message<'a> {
    /// Reads a message; `None` if it has no head or is not text.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next().filter(|line| !line.is_empty())?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (long_name(name.trim()), value.trim()))
            .collect();
        Some(Self { start, headers, body })
    }

    /// A response's status.
    pub(crate) fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    /// A request's method.
    pub(crate) fn method(&self) -> Option<&'a str> {
        self.start.ends_with(" SIP/2.0").then(|| self.start.split(' ').next()).flatten()
    }

    /// First header of a name.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All headers of a name, in order.
    pub(crate) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.headers
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Number and method of CSeq.
    pub(crate) fn cseq(&self) -> Option<(u32, &'a str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The URI of the Contact.
    pub(crate) fn contact(&self) -> Option<&'a str> {
        let contact = self.header("Contact")?;
        match contact.split_once('<') {
            Some((_, rest)) => rest.split('>').next(),
            None => contact.split(';').next(),
        }
    }

    /// The route set of a dialog this response makes, as its caller uses it (RFC 3261 12.1.2):
    /// Record-Route reversed.
    pub(crate) fn route_set(&self) -> Vec<String> {
        let lines = self.all("Record-Route").flat_map(|line| line.split(','));
        let mut routes: Vec<String> = lines.map(|route| route.trim().to_owned()).collect();
        routes.reverse();
        routes
    }

    /// Where audio of a payload type goes according to the body (RFC 4566): the address of `c=`,
    /// the port of the first `m=audio`, if the type is among its formats.
    pub(crate) fn audio(&self, payload_type: u8) -> Option<SocketAddrV4> {
        let mut session: Option<Ipv4Addr> = None;
        let mut found: Option<(u16, Option<Ipv4Addr>)> = None;
        let mut inside = false;
        for line in self.body.lines() {
            if let Some(rest) = line.strip_prefix("m=") {
                inside = found.is_none() && rest.starts_with("audio ");
                if inside {
                    let mut words = rest.split_whitespace().skip(1);
                    let port = words.next()?.parse().ok()?;
                    if !words.skip(1).any(|format| format.parse() == Ok(payload_type)) {
                        return None;
                    }
                    found = Some((port, None));
                }
            } else if let Some(rest) = line.strip_prefix("c=IN IP4 ") {
                let address = rest.split(['/', ' ']).next()?.parse().ok();
                match found.as_mut() {
                    Some((_, media)) if inside => *media = address,
                    None => session = address,
                    _ => {}
                }
            }
        }
        let (port, media) = found.filter(|(port, _)| *port != 0)?;
        Some(SocketAddrV4::new(media.or(session)?, port))
    }
}

/// What all requests of a call have in common.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Our signalling address.
    pub(crate) local: SocketAddrV4,
    /// Transport in Via and Contact.
    pub(crate) transport: Transport,
    /// Request-URI of the INVITE, and To.
    pub(crate) target: String,
    /// Call-ID.
    pub(crate) call_id: String,
    /// Tag of From.
    pub(crate) tag: String,
    /// User part of Contact.
    pub(crate) user: String,
    /// URI of From.
    pub(crate) from: String,
}

impl Caller {
    /// A request; `to` and `routes` as the dialog has them.
    pub(crate) fn request(&self, request: &Request<'_>) -> Vec<u8> {
        let Self { local, transport, call_id, tag, user, from, .. } = self;
        let Request { method, uri, to, branch, cseq, routes, credentials, body } = request;
        let (via, parameter) = (transport.via(), transport.parameter());
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/{via} {local};rport;branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\n\
             From: <{from}>;tag={tag}\r\n\
             To: {to}\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n"
        );
        for route in *routes {
            let _ = write!(text, "Route: {route}\r\n");
        }
        text.push_str(credentials);
        if *method == "INVITE" {
            let _ = write!(
                text,
                "Contact: <sip:{user}@{local}{parameter}>\r\n\
                 Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE\r\nUser-Agent: talkpath-perf\r\n"
            );
        }
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        text.into_bytes()
    }
}

/// What differs from request to request.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// Method.
    pub(crate) method: &'a str,
    /// Request-URI.
    pub(crate) uri: &'a str,
    /// To, with the tag once there is one.
    pub(crate) to: &'a str,
    /// Branch, without the magic cookie.
    pub(crate) branch: &'a str,
    /// Sequence number.
    pub(crate) cseq: u32,
    /// Route set.
    pub(crate) routes: &'a [String],
    /// Header lines that prove who calls, whole; none if nobody asked.
    pub(crate) credentials: &'a str,
    /// SDP or nothing.
    pub(crate) body: &'a str,
}

/// An offer of one codec and telephone-event; secured if there is keying.
pub(crate) fn offer(
    rtp: SocketAddrV4,
    ptime_ms: u32,
    codec: Codec,
    keying: Option<&Keying>,
) -> String {
    describe(rtp, ptime_ms, (codec, codec.payload_type()), keying)
}

/// An answer to `sdp`, which may have numbered the codec otherwise than we would.
pub(crate) fn answer(sdp: &str, rtp: SocketAddrV4, ptime_ms: u32, codec: Codec) -> String {
    let pt = dynamic_type(sdp, codec.name()).unwrap_or_else(|| codec.payload_type());
    describe(rtp, ptime_ms, (codec, pt), None)
}

/// The payload type that a description gives to the codec of this name, if it says so.
fn dynamic_type(sdp: &str, name: &str) -> Option<u8> {
    sdp.lines().find_map(|line| {
        let (pt, map) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        let encoding = map.split('/').next()?;
        encoding.eq_ignore_ascii_case(name).then(|| pt.parse().ok())?
    })
}

fn describe(
    rtp: SocketAddrV4,
    ptime_ms: u32,
    (codec, pt): (Codec, u8),
    keying: Option<&Keying>,
) -> String {
    let (address, port) = (rtp.ip(), rtp.port());
    let (profile, crypto) = match keying {
        Some(keying) => ("RTP/SAVP", keying.line()),
        None => ("RTP/AVP", String::new()),
    };
    let (name, clock) = (codec.name(), codec.clock());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} {profile} {pt} 101\r\na=rtpmap:{pt} {name}/{clock}\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:{ptime_ms}\r\n\
         {crypto}a=sendrecv\r\n"
    )
}

/// A response to a request of the server's.
pub(crate) fn response(request: &Message<'_>, status: u16, reason: &str) -> Vec<u8> {
    respond(request, status, reason, "")
}

/// The 200 to an UPDATE that says no more than that the call lives (RFC 4028 7.4): who is called
/// stays `contact` (RFC 3311 5.2).
pub(crate) fn refreshed(request: &Message<'_>, contact: &str) -> Vec<u8> {
    respond(request, 200, "OK", &format!("Contact: <{contact}>\r\n"))
}

/// A response with these header lines besides its own.
fn respond(request: &Message<'_>, status: u16, reason: &str, more: &str) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {status} {reason}\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        for value in request.all(name) {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    let _ = write!(text, "{more}Content-Length: 0\r\n\r\n");
    text.into_bytes()
}

/// Length of the first whole message in a stream (RFC 3261 18.3), `None` until it is there.
pub(crate) fn message_length(bytes: &[u8]) -> Option<usize> {
    let head = crate::ws::handshake::head_length(bytes)?;
    let text = std::str::from_utf8(bytes.get(..head)?).ok()?;
    let body = text
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| long_name(name.trim()).eq_ignore_ascii_case("Content-Length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let total = head.checked_add(body)?;
    (bytes.len() >= total).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP 127.0.0.1:5;branch=z9hG4bKa\r\n\
        Record-Route: <sip:a;lr>, <sip:b;lr>\r\nRecord-Route: <sip:c;lr>\r\n\
        f: <sip:x@h>;tag=1\r\nt: <sip:y@h>;tag=2\r\ni: 7-c@h\r\nCSeq: 3 INVITE\r\n\
        m: \"Y\" <sip:y@127.0.0.1:5060;transport=udp>;expires=1\r\nl: 5\r\n\r\n";

    /// Compact names, status, CSeq, contact and route set of a response.
    #[test]
    fn reads_a_response() {
        let message = Message::parse(ANSWER.as_bytes()).expect("message");
        assert_eq!((message.status(), message.method()), (Some(200), None));
        assert_eq!(message.cseq(), Some((3, "INVITE")));
        assert_eq!(message.header("To"), Some("<sip:y@h>;tag=2"));
        assert_eq!(message.contact(), Some("sip:y@127.0.0.1:5060;transport=udp"));
        assert_eq!(message.route_set(), ["<sip:c;lr>", "<sip:b;lr>", "<sip:a;lr>"]);
    }

    /// The media's own `c=` wins over the session's; a refused line or another codec is no audio.
    #[test]
    fn reads_an_sdp_answer() {
        let with = |body: &str| {
            let text = format!("SIP/2.0 200 OK\r\n\r\n{body}");
            Message::parse(text.as_bytes()).and_then(|message| message.audio(0))
        };
        let session = "v=0\r\nc=IN IP4 10.0.0.1\r\n";
        let audio = |rest: &str| with(&format!("{session}{rest}"));
        assert_eq!(audio("m=audio 4000 RTP/AVP 0 101\r\n"), "10.0.0.1:4000".parse().ok());
        assert_eq!(
            audio("m=audio 4000 RTP/AVP 8 0\r\nc=IN IP4 10.0.0.2\r\nm=video 1 X 0\r\n"),
            "10.0.0.2:4000".parse().ok()
        );
        assert_eq!(audio("m=audio 0 RTP/AVP 0\r\n"), None);
        assert_eq!(audio("m=audio 4000 RTP/AVP 8\r\n"), None);
        assert_eq!(with(""), None);
    }

    /// An answer numbers a codec as the offer does, and as we would if that says nothing.
    #[test]
    fn answers_in_the_numbers_of_the_offer() {
        let at = "127.0.0.1:4000".parse().expect("address");
        let offer = "v=0\r\nm=audio 9 RTP/AVP 0 96\r\na=rtpmap:96 OPUS/48000/2\r\n";
        assert!(answer(offer, at, 20, Codec::Opus).contains("a=rtpmap:96 opus/48000/2\r\n"));
        assert!(answer("", at, 20, Codec::Opus).contains(" RTP/AVP 111 101\r\n"));
        assert!(answer(offer, at, 20, Codec::Pcmu).contains("a=rtpmap:0 PCMU/8000\r\n"));
    }

    /// What we write is what we read, and its length on a stream is found at its last byte only.
    #[test]
    fn requests_are_well_formed() {
        let caller = Caller {
            local: "127.0.0.1:5070".parse().expect("address"),
            transport: Transport::Tcp,
            target: "sip:echo@127.0.0.1".into(),
            call_id: "1-x".into(),
            tag: "t1".into(),
            user: "perf".into(),
            from: "sip:line@trunk.example.com".into(),
        };
        let body = offer("127.0.0.1:4000".parse().expect("address"), 20, Codec::Pcmu, None);
        let routes = ["<sip:p;lr>".to_owned()];
        let bytes = caller.request(&Request {
            method: "INVITE",
            uri: &caller.target,
            to: "<sip:echo@127.0.0.1>",
            branch: "b1",
            cseq: 1,
            routes: &routes,
            credentials: "Authorization: Digest username=\"line\"\r\n",
            body: &body,
        });
        let message = Message::parse(&bytes).expect("message");
        assert_eq!(message.method(), Some("INVITE"));
        assert_eq!(message.header("Route"), Some("<sip:p;lr>"));
        assert_eq!(message.header("From"), Some("<sip:line@trunk.example.com>;tag=t1"));
        assert_eq!(message.header("Authorization"), Some("Digest username=\"line\""));
        assert_eq!(message.contact(), Some("sip:perf@127.0.0.1:5070;transport=tcp"));
        assert_eq!(message.audio(0), "127.0.0.1:4000".parse().ok());
        for length in 0..bytes.len() {
            assert_eq!(message_length(&bytes[..length]), None);
        }
        assert_eq!(message_length(&[&bytes[..], b"SIP/2.0"].concat()), Some(bytes.len()));
    }
}
