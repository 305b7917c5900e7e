//! rtpengine in user space, told by its control protocol to join two parties, one call at a time.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::bencode::{self, Value};
use crate::error::{PerfError, Result};
use crate::sip::text::{self, Message};
use crate::sound::Codec;
use crate::srtp::{Keying, Suite};
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::sched;

/// How long it may take to start.
const START_NS: u64 = 10 * SECOND_NS;

/// How long an answer of its may take.
const ANSWER: Duration = Duration::from_secs(3);

/// Its media ports, apart from the generator's.
const PORTS: (u16, u16) = (28_000, 39_990);

/// The running program; it ends when this is dropped.
pub(crate) struct Rtpengine {
    child: Child,
    control: UdpSocket,
    asked: u64,
}

/// A joined call, as the caller sees it.
pub(crate) struct Joined {
    /// Where the caller sends.
    pub(crate) rtp: SocketAddrV4,
    /// The caller's keying and rtpengine's, if the caller's side is secured.
    pub(crate) keying: Option<(Keying, Keying)>,
}

/// How the two sides of a call speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    /// The caller's codec.
    pub(crate) near: Codec,
    /// The other party's codec.
    pub(crate) far: Codec,
    /// Secures the caller's side.
    pub(crate) srtp: Option<Suite>,
}

impl Rtpengine {
    /// Starts `program` with one media thread on `cpu`.
    pub(crate) fn start(program: &str, cpu: Option<usize>) -> Result<Self> {
        let address = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["--foreground", "--log-stderr", "--log-level=3", "--table=-1"]);
        command.args(["--interface=127.0.0.1", "--num-threads=1"]);
        command.arg(format!("--listen-ng={address}"));
        command.arg(format!("--port-min={}", PORTS.0));
        command.arg(format!("--port-max={}", PORTS.1));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(cpu) = cpu {
            sched::pin_command(&mut command, cpu);
        }
        let child = command.spawn().map_err(PerfError::io(format!("starting {program}")))?;
        let control = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        control.connect(address)?;
        let mut engine = Self { child, control, asked: 0 };
        engine.wait_ready()?;
        Ok(engine)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_ready(&mut self) -> Result<()> {
        self.control.set_read_timeout(Some(Duration::from_millis(50)))?;
        let end = clock::mono_ns() + START_NS;
        while self.ask(&Value::map([("command", Value::text("ping"))])).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(PerfError::Peer(format!("rtpengine ended: {status}")));
            }
            if clock::mono_ns() > end {
                return Err(PerfError::Peer("rtpengine does not answer".into()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.control.set_read_timeout(Some(ANSWER))?;
        Ok(())
    }

    fn ask(&mut self, question: &Value) -> Result<String> {
        self.asked += 1;
        let mut bytes = format!("{} ", self.asked).into_bytes();
        question.write(&mut bytes);
        self.control.send(&bytes)?;
        let mut answer = vec![0; 65_536];
        let length = self.control.recv(&mut answer)?;
        let answer = String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned();
        match bencode::find(&answer, "result") {
            Some("ok" | "pong") => Ok(answer),
            _ => Err(PerfError::Peer(format!("rtpengine: {answer}"))),
        }
    }

    /// Joins the caller `id`, whose media are at `near`, with a party at `far`.
    pub(crate) fn join(
        &mut self,
        id: u32,
        sides: Sides,
        near: SocketAddrV4,
        far: SocketAddrV4,
    ) -> Result<Joined> {
        let ours = sides.srtp.map(Keying::random);
        let common = |command: &str, sdp: String| {
            [
                ("command", Value::text(command)),
                ("call-id", Value::text(format!("perf-{id}"))),
                ("from-tag", Value::text("near")),
                ("ICE", Value::text("remove")),
                ("replace", Value::texts(["origin"])),
                ("flags", Value::texts(["trust-address"])),
                ("sdp", Value::text(sdp)),
            ]
        };
        let offer = text::offer(near, 20, sides.near, ours.as_ref());
        let Value::Map(mut offer) = Value::map(common("offer", offer)) else {
            return Err(PerfError::Usage("no dictionary".into()));
        };
        offer.insert("transport-protocol", Value::text("RTP/AVP"));
        offer.insert("rtcp-mux", Value::texts(["demux"]));
        if sides.near != sides.far {
            let codec = Value::map([
                ("mask", Value::texts([sides.near.name()])),
                ("transcode", Value::texts([sides.far.name()])),
            ]);
            offer.insert("codec", codec);
        }
        let offered = self.ask(&Value::Map(offer))?;
        let offered = bencode::find(&offered, "sdp").unwrap_or_default();
        let answer = text::answer(offered, far, 20, sides.far);
        let Value::Map(mut answer) = Value::map(common("answer", answer)) else {
            return Err(PerfError::Usage("no dictionary".into()));
        };
        answer.insert("to-tag", Value::text("far"));
        let answer = self.ask(&Value::Map(answer))?;
        let sdp = bencode::find(&answer, "sdp").unwrap_or_default();
        let whole = format!("SIP/2.0 200 OK\r\n\r\n{sdp}");
        let wrong = || PerfError::Peer(format!("rtpengine answered {sdp}"));
        let message = Message::parse(whole.as_bytes()).ok_or_else(wrong)?;
        let rtp = message.audio(sides.near.payload_type()).ok_or_else(wrong)?;
        let theirs = sides.srtp.map(|suite| Keying::of_answer(sdp, suite).ok_or_else(wrong));
        let keying = match (ours, theirs.transpose()?) {
            (Some(ours), Some(theirs)) => Some((ours, theirs)),
            _ => None,
        };
        Ok(Joined { rtp, keying })
    }
}

impl Drop for Rtpengine {
    fn drop(&mut self) {
        sched::terminate(&self.child);
        let _ = self.child.wait();
    }
}
