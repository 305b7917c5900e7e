//! A telephone that is called: SIP over UDP and RTP, written from the RFCs and not from the server.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::ear::Rtp;
use super::phone::{header, packet};
use super::until;

/// How long anything may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// A telephone that waits for one call.
#[derive(Debug)]
pub struct Callee {
    sip: UdpSocket,
    rtp: UdpSocket,
    _rtcp: UdpSocket,
    /// The formats that it takes: the rest of the `m=` line.
    pub formats: String,
    /// Further lines of its description.
    pub lines: String,
    /// Payload type of what it says.
    pub pt: u8,
    server: Option<SocketAddr>,
    invite: String,
    media: Option<SocketAddr>,
    /// Number of its next request, and of its next packet.
    cseq: u32,
    next: u16,
    version: u32,
    /// What came besides what was waited for.
    unread: Vec<String>,
}

impl Callee {
    /// A telephone that takes `formats`, such as `"0"`, and describes them with `lines`.
    #[track_caller]
    pub fn new(formats: &str, lines: &str) -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (rtp, rtcp) = until(SOON, "two ports in a row", || {
            let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let port = rtp.local_addr().unwrap().port();
            let rtcp = UdpSocket::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
            port.is_multiple_of(2).then_some((rtp, rtcp))
        });
        for socket in [&sip, &rtp] {
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        }
        let pt = formats.split(' ').next().unwrap().parse().unwrap();
        Self {
            sip,
            rtp,
            _rtcp: rtcp,
            formats: formats.to_owned(),
            lines: lines.to_owned(),
            pt,
            server: None,
            invite: String::new(),
            media: None,
            cseq: 1,
            next: 65_530,
            version: 0,
            unread: Vec::new(),
        }
    }

    /// One that takes telephone events, and µ-law.
    #[track_caller]
    pub fn ulaw() -> Self {
        Self::new("0 101", "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n")
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.sip.local_addr().unwrap()
    }

    /// Its URI.
    pub fn uri(&self) -> String {
        format!("sip:desk@{}", self.address())
    }

    /// The next message that `wanted` likes; the rest is kept.
    #[track_caller]
    fn message(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        until(SOON, what, || {
            if let Some(at) = self.unread.iter().position(|text| wanted(text)) {
                return Some(self.unread.remove(at));
            }
            let mut buffer = [0; 65_536];
            let (length, from) = self.sip.recv_from(&mut buffer).ok()?;
            self.server = Some(from);
            self.unread.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            None
        })
    }

    /// Waits for the INVITE of a new call.
    #[track_caller]
    pub fn wait_call(&mut self) -> String {
        // A copy of the one before may still come.
        let before = self.invite.clone();
        let invite = self.message("INVITE", |text| {
            let copy = !before.is_empty() && header(text, "Call-ID") == header(&before, "Call-ID");
            text.starts_with("INVITE ") && !copy
        });
        // Such a copy is none of the next call either.
        let is_copy = |text: &str| {
            text.starts_with("INVITE ")
                && !before.is_empty()
                && header(text, "Call-ID") == header(&before, "Call-ID")
        };
        self.unread.retain(|text| !is_copy(text));
        self.read_media(&invite);
        self.invite.clone_from(&invite);
        invite
    }

    fn read_media(&mut self, text: &str) {
        let audio = text.lines().find_map(|line| line.strip_prefix("m=audio "));
        let port = audio.and_then(|audio| audio.split(' ').next()?.parse().ok());
        if let Some(port) = port {
            self.media = Some(([127, 0, 0, 1], port).into());
        }
    }

    /// Its description, with this direction.
    fn describe(&mut self, direction: &str) -> String {
        self.version += 1;
        let (port, version) = (self.rtp.local_addr().unwrap().port(), self.version);
        let (formats, lines) = (&self.formats, &self.lines);
        format!(
            "v=0\r\no=- 7 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {formats}\r\n{lines}a={direction}\r\n"
        )
    }

    fn respond(&self, request: &str, line: &str, body: &str) {
        let kept = ["Via", "From", "Call-ID", "CSeq"].map(|name| {
            let value = header(request, name);
            format!("{name}: {value}\r\n")
        });
        let to = header(request, "To");
        let tag = if to.contains(";tag=") { "" } else { ";tag=callee" };
        let (kept, local, length) = (kept.concat(), self.address(), body.len());
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "SIP/2.0 {line}\r\n{kept}To: {to}{tag}\r\nContact: <sip:desk@{local}>\r\n{kind}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.sip.send_to(text.as_bytes(), self.server.unwrap()).unwrap();
    }

    /// Says that it rings.
    pub fn ring(&self) {
        self.respond(&self.invite, "180 Ringing", "");
    }

    /// Lets itself be heard before the answer.
    pub fn early(&mut self) {
        let body = self.describe("sendrecv");
        self.respond(&self.invite, "183 Session Progress", &body);
    }

    /// Answers, and waits until that is confirmed.
    #[track_caller]
    pub fn answer(&mut self) {
        let body = self.describe("sendrecv");
        self.respond(&self.invite, "200 OK", &body);
        self.message("ACK", |text| text.starts_with("ACK "));
    }

    /// Refuses with a status line, which header lines may follow; waits until that is confirmed.
    #[track_caller]
    pub fn refuse(&mut self, line: &str) {
        self.respond(&self.invite, line, "");
        self.message("ACK", |text| text.starts_with("ACK "));
    }

    /// Waits for a request in the dialog and says yes to it.
    #[track_caller]
    pub fn wait_request(&mut self, method: &str) -> String {
        let text = self.message(method, |text| text.starts_with(&format!("{method} ")));
        let body = match method {
            "INVITE" if text.contains("a=sendonly") => self.describe("recvonly"),
            "INVITE" => self.describe("sendrecv"),
            _ => String::new(),
        };
        self.respond(&text, "200 OK", &body);
        if method == "INVITE" {
            self.message("ACK", |text| text.starts_with("ACK "));
        }
        text
    }

    /// Waits until this many requests of a method have come, copies included, and answers none.
    #[track_caller]
    pub fn wait_copies(&mut self, method: &str, count: usize) -> Vec<String> {
        let line = format!("{method} ");
        let copies: Vec<_> =
            (0..count).map(|_| self.message(method, |text| text.starts_with(&line))).collect();
        self.unread.extend(copies.last().cloned());
        copies
    }

    /// Waits for the CANCEL of its call, and ends it.
    #[track_caller]
    pub fn wait_cancel(&mut self) -> String {
        let cancel = self.wait_request("CANCEL");
        self.refuse("487 Request Terminated");
        cancel
    }

    /// Sends a request in the dialog; the final response.
    #[track_caller]
    pub fn request(&mut self, method: &str, headers: &str, body: &str) -> String {
        self.cseq += 1;
        let (local, server, cseq) = (self.address(), self.server.unwrap(), self.cseq);
        let invite = self.invite.clone();
        let contact = header(&invite, "Contact").trim_matches(['<', '>']).to_owned();
        let (to, from) = (header(&invite, "From"), header(&invite, "To"));
        let (call_id, length) = (header(&invite, "Call-ID"), body.len());
        let write = |method: &str, branch: &str, more: &str| {
            format!(
                "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKc{cseq}{branch}\r\n\
                 Max-Forwards: 70\r\nFrom: {from};tag=callee\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
                 CSeq: {cseq} {method}\r\nContact: <sip:desk@{local}>\r\n{more}"
            )
        };
        let rest = format!("{headers}Content-Length: {length}\r\n\r\n{body}");
        self.sip.send_to(write(method, "", &rest).as_bytes(), server).unwrap();
        let own = format!("CSeq: {cseq} {method}");
        let response = self.message(method, |text| {
            text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 1") && text.contains(&own)
        });
        if method == "INVITE" {
            let ack = write("ACK", "ack", "Content-Length: 0\r\n\r\n");
            self.sip.send_to(ack.as_bytes(), server).unwrap();
        }
        response
    }

    /// Describes its media anew, with this direction; the server's answer.
    #[track_caller]
    pub fn reinvite(&mut self, direction: &str) -> String {
        let body = self.describe(direction);
        let answer = self.request("INVITE", "Content-Type: application/sdp\r\n", &body);
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        answer
    }

    /// Hangs up.
    #[track_caller]
    pub fn hang_up(&mut self, headers: &str) {
        let answer = self.request("BYE", headers, "");
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }

    /// Presses a key by SIP INFO.
    #[track_caller]
    pub fn press(&mut self, key: char) {
        let body = format!("Signal={key}\r\nDuration=160\r\n");
        let kind = "Content-Type: application/dtmf-relay\r\n";
        assert!(self.request("INFO", kind, &body).starts_with("SIP/2.0 200 "));
    }

    /// One packet at once.
    pub fn say(&mut self, payload: &[u8]) {
        let ts = u32::from(self.next).wrapping_mul(160);
        let packet = packet(self.pt, self.next, ts, payload);
        self.rtp.send_to(&packet, self.media.unwrap()).unwrap();
        self.next = self.next.wrapping_add(1);
    }

    /// A packet that it has heard by now.
    pub fn try_hear(&self) -> Option<Rtp> {
        self.rtp.set_nonblocking(true).unwrap();
        let packet = self.hear();
        self.rtp.set_nonblocking(false).unwrap();
        packet
    }

    /// The next packet that it hears, if one comes soon.
    pub fn hear(&self) -> Option<Rtp> {
        let mut buffer = [0; 2048];
        let length = self.rtp.recv(&mut buffer).ok()?;
        Some(Rtp::parse(Instant::now(), &buffer[..length]))
    }
}
