//! Bodies of the fuzz targets of descriptions and of the endpoint.

use std::time::Duration;

use bytes::Bytes;
use media::codec::AudioFormat;
use media::time::MonoTime;

use super::endpoint::{DialogId, Endpoint, EndpointConfig, Event, Flow, Transport};
#[doc(hidden)]
pub use super::offer_answer::fuzz::offer_answer;
use super::offer_answer::{LocalMedia, LocalSrtp, accept_answer, answer};
use super::sdp::{Direction, Sdp};

/// Messages that one input may call forth: a response, and what ends a call.
const MESSAGES_MAX: usize = 8;
/// Deadlines after which every call must be over.
const DEADLINES_MAX: usize = 20_000;

/// Reads `data` as a description, answers it, and takes it for an answer.
///
/// # Panics
///
/// If our answer cannot be read, or has another number of streams than the offer (RFC 3264 6).
pub fn sdp(data: &[u8]) {
    let Ok(offer) = Sdp::parse(data) else { return };
    let local = local();
    if let Ok(answer) = answer(&offer, &local) {
        let ours = Sdp::parse(&answer.sdp);
        assert!(ours.is_ok_and(|ours| ours.media.len() == offer.media.len()));
        assert!(local.codecs.contains(&answer.selected.codec));
        assert!(answer.selected.pt < 128 && (10..=60).contains(&answer.selected.ptime_ms));
    }
    if let Ok(settled) = accept_answer(&local, &offer) {
        assert!(local.codecs.contains(&settled.codec));
    }
}

fn local() -> LocalMedia {
    LocalMedia {
        address: [192, 0, 2, 1].into(),
        port: 4000,
        codecs: vec![AudioFormat::PCMU, AudioFormat::PCMA],
        telephone_event: true,
        comfort_noise: false,
        ptime_ms: 20,
        direction: Direction::SendRecv,
        rtcp_mux: true,
        xr: false,
        srtp: LocalSrtp::default(),
        session_id: 1,
        session_version: 1,
    }
}

/// Plays `data` to an endpoint: messages with a zero octet between them, each with an octet in
/// front that says what happens before and after it.
///
/// # Panics
///
/// If one message calls forth a flood, or if anything is left of any call once all timers have
/// fired.
pub fn endpoint(data: &[u8]) {
    let mut shell = Shell {
        endpoint: Endpoint::new(EndpointConfig::default(), 1),
        now: MonoTime::from_nanos(1),
        calls: Vec::new(),
    };
    for step in data.split(|octet| *octet == 0) {
        let Some((&choice, message)) = step.split_first() else { continue };
        shell.pass(Duration::from_millis(u64::from(choice & 0x0f) * 400));
        let transport = if choice & 0x10 == 0 { Transport::Udp } else { Transport::Tcp };
        let flow = Flow {
            transport,
            local: ([198, 51, 100, 7], 5060).into(),
            peer: ([192, 0, 2, 1], 5060).into(),
            connection: u64::from(transport == Transport::Tcp),
        };
        shell.endpoint.handle_datagram(shell.now, flow, Bytes::copy_from_slice(message));
        shell.drain(MESSAGES_MAX);
        shell.decide(choice >> 5);
    }
    shell.end();
}

/// An endpoint with a clock, and the calls it told of.
struct Shell {
    endpoint: Endpoint,
    now: MonoTime,
    calls: Vec<DialogId>,
}

impl Shell {
    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.endpoint.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.endpoint.handle_timeout(self.now);
            self.drain(usize::MAX);
        }
        self.now = end;
    }

    /// Takes what is to be sent, at most `messages_max`, and what happened.
    fn drain(&mut self, messages_max: usize) {
        let sent = std::iter::from_fn(|| self.endpoint.poll_transmit()).count();
        assert!(sent <= messages_max, "{sent} messages for one");
        while let Some(event) = self.endpoint.poll_event() {
            if let Event::Incoming { dialog, .. } = event {
                self.calls.push(dialog);
            }
        }
    }

    /// Does something with the latest call; what does not fit its state is refused.
    fn decide(&mut self, choice: u8) {
        let Some(&call) = self.calls.last() else { return };
        let (endpoint, now) = (&mut self.endpoint, self.now);
        let description = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n\
            t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        let _refused = match choice {
            0 => Ok(()),
            1 => endpoint.provisional(now, call, 180, "Ringing", None, &[]),
            2 => endpoint.answer(now, call, Some(description), &[]),
            3 => endpoint.reject(now, call, 486, "Busy Here", &[]),
            4 => endpoint.bye(now, call, &[]),
            5 => endpoint.accept_reinvite(now, call, description),
            6 => endpoint.reinvite(now, call, Some(description)),
            _ => endpoint.reject_reinvite(now, call, 488, "Not Acceptable Here", &[]),
        };
        self.drain(MESSAGES_MAX);
    }

    /// Hangs up everything and lets all timers fire.
    fn end(&mut self) {
        for call in std::mem::take(&mut self.calls) {
            if self.endpoint.bye(self.now, call, &[]).is_err() {
                let _over =
                    self.endpoint.reject(self.now, call, 480, "Temporarily Unavailable", &[]);
            }
            self.drain(MESSAGES_MAX);
        }
        for _ in 0..DEADLINES_MAX {
            let Some(deadline) = self.endpoint.deadline() else { break };
            self.now = self.now.max(deadline);
            self.endpoint.handle_timeout(self.now);
            self.drain(usize::MAX);
        }
        assert_eq!(self.endpoint.deadline(), None, "a timer never ends");
        assert_eq!(self.endpoint.calls(), 0, "a call was left");
        assert_eq!(self.endpoint.transactions(), (0, 0), "a transaction was left");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An INVITE with an offer, as the fuzz corpus has it.
    pub(super) const INVITE: &[u8] = b"INVITE sip:echo@198.51.100.7 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n\
        From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:echo@198.51.100.7>\r\nCall-ID: 1\r\n\
        CSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.1>\r\nContent-Type: application/sdp\r\n\r\n\
        v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

    /// Whatever is done with a call, nothing of it is left once the timers have fired.
    #[test]
    fn calls_leave_nothing_behind() {
        for first in 0..=u8::MAX {
            for second in (0..=u8::MAX).step_by(0x20) {
                let mut script = vec![first];
                script.extend_from_slice(INVITE);
                script.extend_from_slice(&[0, second]);
                script.extend_from_slice(INVITE);
                endpoint(&script);
            }
        }
    }

    /// A call whose last message is cut at any place leaves nothing either.
    #[test]
    fn truncations_leave_nothing_behind() {
        for end in 0..INVITE.len() {
            let mut script = vec![0x40];
            script.extend_from_slice(&INVITE[..end]);
            endpoint(&script);
        }
    }

    /// Descriptions cut at any place are refused or answered whole.
    #[test]
    fn truncated_descriptions_are_handled() {
        let start = INVITE.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        for end in start..=INVITE.len() {
            sdp(&INVITE[start..end]);
        }
    }
}
