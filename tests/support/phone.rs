//! A telephone for tests: SIP over UDP and RTP, written from the RFCs and not from the server.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::ear::Rtp;
use super::server::Server;
use super::until;

/// How long a phone waits for anything on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// Length of a packet.
const PTIME: Duration = Duration::from_millis(20);
/// Payload type of telephone events in the phone's offer.
pub const DTMF_PT: u8 = 101;

/// What a phone speaks.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// Payload type.
    pub pt: u8,
    /// Name and clock as in `a=rtpmap`.
    pub map: &'static str,
    /// Clock of the telephone events that it offers; none if zero.
    pub event_hz: u32,
}

impl Codec {
    /// The description that offers it and nothing else, in the given version.
    fn offer(self, port: u16, version: u32) -> String {
        let Self { pt, map, event_hz } = self;
        let (mut formats, mut maps) = (pt.to_string(), format!("a=rtpmap:{pt} {map}\r\n"));
        if event_hz > 0 {
            formats += &format!(" {DTMF_PT}");
            maps += &format!(
                "a=rtpmap:{DTMF_PT} telephone-event/{event_hz}\r\na=fmtp:{DTMF_PT} 0-15\r\n"
            );
        }
        format!(
            "v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {formats}\r\n{maps}a=ptime:20\r\n"
        )
    }
}

/// G.711 µ-law.
pub const PCMU: Codec = Codec { pt: 0, map: "PCMU/8000", event_hz: 8_000 };
/// G.711 A-law.
pub const PCMA: Codec = Codec { pt: 8, map: "PCMA/8000", event_hz: 8_000 };
/// G.722.
pub const G722: Codec = Codec { pt: 9, map: "G722/8000", event_hz: 8_000 };

/// Opus.
pub const OPUS: Codec = Codec { pt: 111, map: "opus/48000/2", event_hz: 48_000 };

/// Numbers phones, for tags and branches.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A phone with one call.
#[derive(Debug)]
pub struct Phone {
    sip: UdpSocket,
    rtp: UdpSocket,
    /// Takes the server's reports, so that no other phone gets them.
    _rtcp: UdpSocket,
    server: SocketAddr,
    /// The called user.
    to: String,
    number: u32,
    /// `To` of the dialog, with the server's tag once there is one.
    remote: String,
    cseq: u32,
    /// Final answer to the INVITE.
    pub answer: String,
    heard: Arc<Mutex<Vec<Rtp>>>,
    ended: Arc<AtomicBool>,
    ear: Option<JoinHandle<()>>,
    /// Where the server wants its RTP.
    media: Option<SocketAddr>,
    seq: u16,
    ts: u32,
    /// The BYE of the server, if it has come.
    bye: Option<String>,
    /// The last status by which the server has refused something.
    refusal: Option<u16>,
    /// What it speaks and offers.
    codec: Codec,
    /// The re-INVITEs of the server.
    pub changes: Vec<String>,
    /// Hops that its requests may take.
    hops: u8,
}

impl Phone {
    /// Calls `to` at `server`; what comes of it is yet to be awaited.
    #[track_caller]
    pub fn call(server: &Server, to: &str) -> Self {
        Self::call_at(server.sip, to, "")
    }

    /// Calls with more header lines, each ended by CRLF.
    #[track_caller]
    pub fn call_at(server: SocketAddr, to: &str, headers: &str) -> Self {
        Self::call_sdp(server, to, headers, |port| offer("127.0.0.1", port, "sendrecv"))
    }

    /// Calls with an offer of another codec.
    #[track_caller]
    pub fn call_in(server: SocketAddr, to: &str, headers: &str, codec: Codec) -> Self {
        let mut phone = Self::call_sdp(server, to, headers, |port| codec.offer(port, 1));
        phone.codec = codec;
        phone
    }

    /// Calls with the description that `sdp` makes for its port.
    #[track_caller]
    pub fn call_sdp(
        server: SocketAddr,
        to: &str,
        headers: &str,
        sdp: impl FnOnce(u16) -> String,
    ) -> Self {
        let mut phone = Self::ready(server, to);
        phone.invite(headers, sdp);
        phone
    }

    /// Calls with an INVITE that may take so many hops.
    #[track_caller]
    pub fn call_with_hops(server: SocketAddr, to: &str, hops: u8) -> Self {
        let mut phone = Self::ready(server, to);
        phone.hops = hops;
        phone.invite("", |port| offer("127.0.0.1", port, "sendrecv"));
        phone
    }

    /// Calls without an offer: that is the server's, and [`Phone::wait_offer`] answers it.
    #[track_caller]
    pub fn call_without_offer(server: SocketAddr, to: &str, headers: &str) -> Self {
        let mut phone = Self::ready(server, to);
        phone.request("INVITE", headers, "");
        phone
    }

    /// A phone that has called nobody yet.
    #[track_caller]
    fn ready(server: SocketAddr, to: &str) -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (rtp, rtcp) = until(SOON, "two ports in a row", port_pair);
        sip.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        rtp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let number = std::process::id() << 8 | NUMBER.fetch_add(1, Ordering::Relaxed);
        let (heard, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let ear = listen(rtp.try_clone().unwrap(), Arc::clone(&heard), Arc::clone(&ended));
        Self {
            sip,
            rtp,
            _rtcp: rtcp,
            server,
            to: to.to_owned(),
            number,
            remote: format!("<sip:{to}@{server}>"),
            cseq: 1,
            answer: String::new(),
            heard,
            ended,
            ear: Some(ear),
            media: None,
            // Both wrap around soon.
            seq: 65_530,
            ts: u32::MAX - 1_000,
            bye: None,
            refusal: None,
            codec: PCMU,
            changes: Vec::new(),
            hops: 70,
        }
    }

    fn invite(&mut self, headers: &str, sdp: impl FnOnce(u16) -> String) {
        let port = self.rtp.local_addr().unwrap().port();
        let body = sdp(port);
        let more = format!("{headers}Content-Type: application/sdp\r\n");
        self.request("INVITE", &more, &body);
    }

    /// Goes over to another codec in mid-call; the server's answer.
    #[track_caller]
    pub fn change_codec(&mut self, codec: Codec) -> String {
        self.cseq += 1;
        self.codec = codec;
        let body = codec.offer(self.rtp.local_addr().unwrap().port(), self.cseq);
        self.request("INVITE", "Content-Type: application/sdp\r\n", &body);
        let answer = self.wait_status(200);
        self.request("ACK", "", "");
        answer
    }

    /// Calls, and waits until the call is answered and confirmed.
    #[track_caller]
    pub fn up(server: &Server, to: &str) -> Self {
        let mut phone = Self::call(server, to);
        phone.wait_answer();
        phone
    }

    /// Sends a request in the dialog, or the one that makes it.
    #[track_caller]
    fn request(&mut self, method: &str, headers: &str, body: &str) {
        let branch = if method == "ACK" { "ack" } else { "x" };
        self.request_as(method, branch, headers, body);
    }

    fn request_as(&self, method: &str, branch: &str, headers: &str, body: &str) {
        let (local, server, to) = (self.sip.local_addr().unwrap(), self.server, &self.to);
        let (number, cseq, remote, length) = (self.number, self.cseq, &self.remote, body.len());
        let hops = self.hops;
        let text = format!(
            "{method} sip:{to}@{server} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{number}-{cseq}-{branch}\r\n\
             Max-Forwards: {hops}\r\nFrom: \"Phone\" <sip:+15550001234@{local}>;tag=p{number}\r\n\
             To: {remote}\r\nCall-ID: {number}@phone\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:phone@{local}>\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        self.sip.send_to(text.as_bytes(), server).unwrap();
    }

    /// The next message, if one comes soon. Requests of the server are answered.
    #[track_caller]
    fn receive(&mut self) -> Option<String> {
        let mut buffer = [0; 65_536];
        let length = self.sip.recv(&mut buffer).ok()?;
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if let Some(line) = text.strip_prefix("SIP/2.0 ") {
            let status = line.get(..3).and_then(|status| status.parse().ok());
            self.refusal = status.filter(|status| *status >= 300).or(self.refusal);
        } else {
            let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
            let lines = text.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
            let lines: Vec<&str> = lines.collect();
            let (mut more, mut body) = (String::new(), String::new());
            if text.starts_with("INVITE ") {
                let local = self.sip.local_addr().unwrap();
                let port = self.rtp.local_addr().unwrap().port();
                let held = text.contains("a=sendonly");
                body = offer("127.0.0.1", port, if held { "recvonly" } else { "sendrecv" });
                more = format!("Contact: <sip:phone@{local}>\r\nContent-Type: application/sdp\r\n");
                self.changes.push(text.clone());
            }
            let (lines, length) = (lines.join("\r\n"), body.len());
            let answer = format!(
                "SIP/2.0 200 OK\r\n{lines}\r\n{more}Content-Length: {length}\r\n\r\n{body}"
            );
            self.sip.send_to(answer.as_bytes(), self.server).unwrap();
            if text.starts_with("BYE ") {
                self.bye = Some(text.clone());
            }
        }
        Some(text)
    }

    /// Waits for the response `status` to the last request.
    #[track_caller]
    pub fn wait_status(&mut self, status: u16) -> String {
        let (want, cseq) = (format!("SIP/2.0 {status} "), format!("CSeq: {} ", self.cseq));
        until(SOON, &want, || {
            let text = self.receive()?;
            if !text.contains(&cseq) || text.starts_with("SIP/2.0 1") && status >= 200 {
                return None;
            }
            let expected = text.starts_with(&want) || !text.starts_with("SIP/2.0 ");
            assert!(expected || text.starts_with("SIP/2.0 1"), "not {status}: {text}");
            text.starts_with(&want).then_some(text)
        })
    }

    /// Calls a number that was just made, and waits until the call is answered and confirmed. What
    /// was stored is routed by in a moment: until then nobody has the number, or knows who calls.
    #[track_caller]
    pub fn up_when_known(server: &Server, to: &str) -> Self {
        until(SOON, "somebody has the number", || {
            let mut phone = Self::call(server, to);
            let is_final =
                |text: &String| text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 1");
            let answer = until(SOON, "an outcome", || phone.receive().filter(is_final));
            if ["SIP/2.0 404 ", "SIP/2.0 403 "].iter().any(|line| answer.starts_with(line)) {
                phone.confirm_refusal(&answer);
                return None;
            }
            assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
            phone.confirm_answer(answer);
            Some(phone)
        })
    }

    /// Waits for the 200 to the INVITE and confirms it.
    #[track_caller]
    pub fn wait_answer(&mut self) {
        let answer = self.wait_status(200);
        self.confirm_answer(answer);
    }

    #[track_caller]
    fn confirm_answer(&mut self, answer: String) {
        self.remote = header(&answer, "To").to_owned();
        self.see_media(&answer);
        self.answer = answer;
        self.request("ACK", "", "");
    }

    /// Waits for the 200 with the server's offer, and answers that as it confirms.
    #[track_caller]
    pub fn wait_offer(&mut self) {
        let answer = self.wait_status(200);
        self.remote = header(&answer, "To").to_owned();
        self.see_media(&answer);
        self.answer = answer;
        let body = offer("127.0.0.1", self.rtp.local_addr().unwrap().port(), "sendrecv");
        self.request("ACK", "Content-Type: application/sdp\r\n", &body);
    }

    /// Takes the server's media from a description.
    #[track_caller]
    pub fn see_media(&mut self, message: &str) {
        let audio = message.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
        let port: u16 = audio.split(' ').next().unwrap().parse().unwrap();
        self.media = Some(([127, 0, 0, 1], port).into());
    }

    /// Describes its media anew, with this direction, and waits until that is agreed.
    #[track_caller]
    pub fn reinvite(&mut self, direction: &str) {
        self.cseq += 1;
        let port = self.rtp.local_addr().unwrap().port();
        let body = offer("127.0.0.1", port, direction);
        self.request("INVITE", "Content-Type: application/sdp\r\n", &body);
        self.wait_status(200);
        self.request("ACK", "", "");
    }

    /// Waits for a refusal with `status` and confirms it; the response.
    #[track_caller]
    pub fn wait_refusal(&mut self, status: u16) -> String {
        let answer = self.wait_status(status);
        self.confirm_refusal(&answer);
        answer
    }

    fn confirm_refusal(&mut self, answer: &str) {
        // RFC 3261 17.1.1.3: the branch of the INVITE, the tag of the response.
        self.remote = header(answer, "To").to_owned();
        let local = self.sip.local_addr().unwrap();
        let (number, remote, server, to) = (self.number, &self.remote, self.server, &self.to);
        let text = format!(
            "ACK sip:{to}@{server} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{number}-1-x\r\n\
             Max-Forwards: 70\r\nFrom: \"Phone\" <sip:+15550001234@{local}>;tag=p{number}\r\n\
             To: {remote}\r\nCall-ID: {number}@phone\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
        );
        self.sip.send_to(text.as_bytes(), server).unwrap();
    }

    /// Gives up before the answer, and waits until that is confirmed.
    #[track_caller]
    pub fn cancel(&mut self, headers: &str) {
        self.request_as("CANCEL", "x", headers, "");
        let answer =
            until(SOON, "487", || self.receive().filter(|text| text.starts_with("SIP/2.0 487 ")));
        self.confirm_refusal(&answer);
    }

    /// Takes what the server says until `done`.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        until(SOON, what, || {
            self.receive();
            done(self)
        })
    }

    /// Hangs up and waits until that is confirmed.
    #[track_caller]
    pub fn hang_up(&mut self) {
        self.cseq += 1;
        self.request("BYE", "", "");
        self.wait_status(200);
    }

    /// Asks the server to call `uri` in its place, and waits until that is taken.
    #[track_caller]
    pub fn refer(&mut self, uri: &str) {
        self.ask_to_refer(uri);
        self.wait_status(202);
    }

    /// The same; what is answered is yet to be awaited.
    #[track_caller]
    pub fn ask_to_refer(&mut self, uri: &str) {
        self.cseq += 1;
        self.request("REFER", &format!("Refer-To: <{uri}>\r\n"), "");
    }

    /// Presses a key by SIP INFO.
    #[track_caller]
    pub fn info(&mut self, digit: char, duration_ms: u32) {
        self.cseq += 1;
        let body = format!("Signal={digit}\r\nDuration={duration_ms}\r\n");
        self.request("INFO", "Content-Type: application/dtmf-relay\r\n", &body);
        self.wait_status(200);
    }

    /// Waits for a request of the server, which is answered; the request.
    #[track_caller]
    pub fn wait_request(&mut self, method: &str) -> String {
        until(SOON, method, || self.receive().filter(|text| text.starts_with(method)))
    }

    /// Waits until the server hangs up; its BYE.
    #[track_caller]
    pub fn wait_bye(&mut self) -> String {
        until(SOON, "BYE", || {
            let _ = self.bye.is_none().then(|| self.receive());
            self.bye.take()
        })
    }

    /// The status by which the server has refused the call, if that has been received.
    pub const fn refused(&self) -> Option<u16> {
        self.refusal
    }

    /// True if the server has hung up by now.
    pub fn is_over(&mut self) -> bool {
        self.receive();
        self.bye.is_some()
    }

    /// What was heard up to now.
    pub fn packets(&self) -> Vec<Rtp> {
        self.heard.lock().unwrap().clone()
    }

    /// Fails unless what was heard is one stream: one source, sequence numbers one by one, time
    /// that goes on by whole packets; by more than one only where the machine did not let the
    /// server run.
    #[track_caller]
    pub fn assert_one_stream(&self) {
        for pair in self.packets().windows(2) {
            let [before, after] = pair else { unreachable!() };
            let step = after.ts.wrapping_sub(before.ts);
            assert_eq!(after.ssrc, before.ssrc);
            assert_eq!(after.seq, before.seq.wrapping_add(1), "gap after {}", before.seq);
            assert!(step.is_multiple_of(160) && (160..80_000).contains(&step), "time: {step}");
            assert_eq!((after.pt, after.payload.len()), (self.codec.pt, 160));
        }
    }

    /// The audio that was heard up to now, in the codec that holds.
    pub fn audio(&self) -> Vec<u8> {
        let heard = self.heard.lock().unwrap();
        let audio = heard.iter().filter(|packet| packet.pt == self.codec.pt);
        audio.flat_map(|packet| packet.payload.iter().copied()).collect()
    }

    /// Waits until `what` is found in the audio.
    #[track_caller]
    pub fn wait_audio<T>(&self, what: &str, mut look: impl FnMut(&[u8]) -> Option<T>) -> T {
        until(SOON, what, || look(&self.audio()))
    }

    /// One packet at once; `marker` at the start of a talkspurt.
    pub fn send(&mut self, payload: &[u8], marker: bool) {
        let mut packet = packet(self.codec.pt, self.seq, self.ts, payload);
        packet[1] |= if marker { 0x80 } else { 0 };
        self.rtp.send_to(&packet, self.media.unwrap()).unwrap();
        // A packet of Opus lasts for 20 ms here; all others have a byte a tick.
        self.skip(if self.codec.map == OPUS.map { 960 } else { payload.len() });
    }

    /// One packet of another payload type at once.
    pub fn send_as(&mut self, pt: u8, payload: &[u8]) {
        let packet = packet(pt, self.seq, self.ts, payload);
        self.rtp.send_to(&packet, self.media.unwrap()).unwrap();
        self.skip(160);
    }

    /// Its socket for RTP.
    pub fn rtp(&self) -> &UdpSocket {
        &self.rtp
    }

    /// Where the server wants its RTP.
    pub fn media(&self) -> SocketAddr {
        self.media.unwrap()
    }

    /// Loses a packet of `samples` before it was sent.
    pub fn skip(&mut self, samples: usize) {
        self.seq = self.seq.wrapping_add(1);
        self.ts = self.ts.wrapping_add(u32::try_from(samples).unwrap());
    }

    /// Says audio of a byte a tick in packets of 20 ms at their pace.
    pub fn speak(&mut self, audio: &[u8]) {
        let begin = Instant::now();
        for (index, payload) in audio.chunks(160).enumerate() {
            let due = begin + PTIME * u32::try_from(index).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.send(payload, index == 0);
        }
    }

    /// Presses a key for 100 ms as RFC 4733 says: updates, then three ends.
    pub fn press(&mut self, event: u8) {
        for (index, duration) in [160_u16, 320, 480, 640, 800, 800, 800].into_iter().enumerate() {
            let end = if index >= 4 { 0x80 } else { 0 };
            let [high, low] = duration.to_be_bytes();
            let mut packet = packet(DTMF_PT, self.seq, self.ts, &[event, end | 10, high, low]);
            packet[1] |= if index == 0 { 0x80 } else { 0 };
            self.rtp.send_to(&packet, self.media.unwrap()).unwrap();
            self.seq = self.seq.wrapping_add(1);
        }
        self.ts = self.ts.wrapping_add(800);
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(ear) = self.ear.take() {
            let _ = ear.join();
        }
    }
}

/// A header of a message.
#[track_caller]
pub fn header<'m>(message: &'m str, name: &str) -> &'m str {
    let found = message.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    found.unwrap_or_else(|| panic!("no {name} in {message}"))
}

/// A description of µ-law and telephone events at this address.
pub fn offer(address: &str, port: u16, direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 {DTMF_PT}\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:{DTMF_PT} telephone-event/8000\r\na=fmtp:{DTMF_PT} 0-15\r\na=ptime:20\r\n\
         a={direction}\r\n"
    )
}

/// An RTP packet.
pub fn packet(pt: u8, seq: u16, ts: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, pt];
    packet.extend(seq.to_be_bytes());
    packet.extend(ts.to_be_bytes());
    packet.extend(0x5eed_0001_u32.to_be_bytes());
    packet.extend(payload);
    packet
}

/// Sockets for RTP and RTCP on an even port and the next (RFC 3550 11).
fn port_pair() -> Option<(UdpSocket, UdpSocket)> {
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = rtp.local_addr().unwrap().port();
    let rtcp = UdpSocket::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
    port.is_multiple_of(2).then_some((rtp, rtcp))
}

fn listen(socket: UdpSocket, to: Arc<Mutex<Vec<Rtp>>>, end: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while !end.load(Ordering::Relaxed) {
            if let Ok(length) = socket.recv(&mut buffer) {
                to.lock().unwrap().push(Rtp::parse(Instant::now(), &buffer[..length]));
            }
        }
    })
}
