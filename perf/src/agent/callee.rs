//! A telephone that answers every call at once: the SIP side of the other party of a relayed call.

use std::net::{SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{PerfError, Result};
use crate::sip::text::{self, Message};
use crate::sound::Codec;

/// How often the end is looked for while nothing comes.
const GLANCE: Duration = Duration::from_millis(50);

/// The telephone, on a thread of its own; it ends when this is dropped.
pub(crate) struct Callee {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Callee {
    /// Listens at `sip`; its audio is at `rtp`, all calls at one port, in `codec`.
    pub(crate) fn start(sip: SocketAddrV4, rtp: SocketAddrV4, codec: Codec) -> Result<Self> {
        let socket = UdpSocket::bind(sip).map_err(PerfError::io(format!("{sip}")))?;
        socket.set_read_timeout(Some(GLANCE))?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("callee".into()).spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !flag.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let answer = Message::parse(buffer.get(..length).unwrap_or_default())
                    .and_then(|message| answer(&message, sip, rtp, codec));
                if let Some(answer) = answer {
                    // Whoever is gone asks no more.
                    let _ = socket.send_to(&answer, from);
                }
            }
        })?;
        Ok(Self { thread: Some(thread), stop })
    }
}

/// What is said to a request; a copy is said the same.
fn answer(
    request: &Message<'_>,
    sip: SocketAddrV4,
    rtp: SocketAddrV4,
    codec: Codec,
) -> Option<Vec<u8>> {
    match request.method()? {
        "ACK" => None,
        "INVITE" => {
            let body = text::answer(request.body, rtp, 20, codec);
            let mut answer = String::from("SIP/2.0 200 OK\r\n");
            for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
                for value in request.all(name) {
                    let new = name == "To" && !value.contains(";tag=");
                    let tag = if new { ";tag=callee" } else { "" };
                    answer += &format!("{name}: {value}{tag}\r\n");
                }
            }
            let length = body.len();
            answer += &format!(
                "Contact: <sip:callee@{sip}>\r\nContent-Type: application/sdp\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            );
            Some(answer.into_bytes())
        }
        _ => Some(text::response(request, 200, "OK")),
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An INVITE gets our audio and a tag, a BYE a plain yes, an ACK nothing.
    #[test]
    fn says_yes() {
        let address = SocketAddrV4::new([127, 0, 0, 1].into(), 4_000);
        let say = |method: &str| {
            let text = format!(
                "{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bKd\r\n\
                 From: <sip:e@f>;tag=g\r\nTo: <sip:a@b>\r\nCall-ID: h\r\nCSeq: 1 {method}\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            let request = Message::parse(text.as_bytes()).unwrap();
            answer(&request, address, address, Codec::Pcma)
        };
        let invited = say("INVITE").unwrap();
        let invited = Message::parse(&invited).unwrap();
        assert_eq!(invited.status(), Some(200));
        assert_eq!(invited.audio(8), Some(address));
        assert_eq!(invited.header("To"), Some("<sip:a@b>;tag=callee"));
        assert_eq!(Message::parse(&say("BYE").unwrap()).unwrap().status(), Some(200));
        assert_eq!(say("ACK"), None);
    }
}
