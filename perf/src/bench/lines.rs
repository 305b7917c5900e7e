//! Calls that come by media sockets: a carrier's, or bare ones.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddrV4;
use std::time::Duration;

use socket2::Socket;

use super::target::Target;
use crate::agent::server::dial_with;
use crate::error::{PerfError, Result};
use crate::line::emulated::{Came, Carrier, Opened};
use crate::line::talk::{Dialect, Talk};
use crate::load::engine::{Engine, Pace};
use crate::load::line::{self, LineEnd};
use crate::load::meter::Meter;
use crate::report::Setup;
use crate::run::Up;
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::net;
use crate::ws::frame;

/// How long calls may take to come up, in nanoseconds.
const PATIENCE_NS: u64 = 20 * SECOND_NS;

/// How long sockets may stay open once their calls are over, in nanoseconds.
const GOODBYE_NS: u64 = 5 * SECOND_NS;

/// How long after another the server is asked whether it has calls.
const LOOK_GAP: Duration = Duration::from_millis(50);

/// Hang-ups a second.
const HANGUPS_HZ: u64 = 200;

/// Kind of the message that says an AudioSocket's UUID.
const KIND_UUID: u8 = 0x01;

/// Mask of the first messages; any will do.
const MASK: [u8; 4] = [0x61, 0xA8, 0x1D, 0xF4];

/// Where calls come from.
pub(crate) enum Lines {
    /// A carrier offers them.
    Carrier(Box<Carrier>),
    /// They are sockets, and nothing else.
    Bare(Target, Dialect),
}

/// Books of the calls.
struct Desk<'l> {
    lines: &'l Lines,
    /// Streams by the carrier's number of their socket; of each stream the call and that number.
    streams: HashMap<u32, u32>,
    calls: Vec<(String, u32)>,
    up: usize,
    open: usize,
    over: bool,
    setup: Setup,
}

impl Lines {
    /// How they speak.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Carrier(carrier) => carrier.dialect,
            Self::Bare(_, dialect) => *dialect,
        }
    }

    /// Places `calls` calls, `rate_hz` a second, lets `talk` have them while they are up, and hangs
    /// up.
    pub(crate) fn during<R>(
        &self,
        (calls, rate_hz): (usize, u64),
        pace: Pace,
        meter: Meter,
        talk: impl FnOnce(Up<'_>) -> Result<R>,
    ) -> Result<(R, Setup)> {
        let bytes_ms = self.dialect().frame_bytes() as u32 / pace.ptime_ms.max(1);
        let mut engine = Engine::new(Pace { bytes_ms, ..pace }, None)?;
        engine.expect(calls);
        let mut desk = Desk::new(self);
        desk.place(&mut engine, calls, rate_hz)?;
        let count = desk.up;
        if count == 0 {
            let failed = desk.setup.failed;
            return Err(PerfError::Peer(format!("no call came up: {failed:?}")));
        }
        let mut meanwhile = |engine: &mut Engine| desk.look(engine);
        let up = Up { engine: &mut engine, meter, count, meanwhile: &mut meanwhile };
        let result = talk(up)?;
        desk.hang_up(&mut engine)?;
        Ok((result, desk.setup))
    }
}

impl<'l> Desk<'l> {
    fn new(lines: &'l Lines) -> Self {
        let (streams, calls) = (HashMap::new(), Vec::new());
        let setup = Setup { failed: BTreeMap::new(), ..Setup::default() };
        Self { lines, streams, calls, up: 0, open: 0, over: false, setup }
    }

    fn place(&mut self, engine: &mut Engine, calls: usize, rate_hz: u64) -> Result<()> {
        self.forget();
        let gap_ns = SECOND_NS / rate_hz.max(1);
        let start = clock::mono_ns();
        let last = start + calls as u64 * gap_ns;
        while self.calls.len() + (self.failures() as usize) < calls {
            let now = clock::mono_ns();
            if now > last + PATIENCE_NS {
                self.fail("no media socket in time", calls as u64 - self.setup.answered);
                break;
            }
            let placed = self.setup.placed;
            if placed < calls as u64 && now >= start + placed * gap_ns {
                self.setup.placed += 1;
                self.offer(engine)?;
            }
            engine.step()?;
            self.look(engine)?;
        }
        Ok(())
    }

    /// Lets go of what is left of calls before these.
    fn forget(&self) {
        let Lines::Carrier(carrier) = self.lines else { return };
        while let Some(came) = carrier.came() {
            if let Came::Line(opened) = came {
                carrier.hang_up(&opened.call);
            }
        }
    }

    fn failures(&self) -> u64 {
        self.setup.failed.values().sum()
    }

    fn fail(&mut self, why: &str, count: u64) {
        *self.setup.failed.entry(why.to_owned()).or_default() += count;
    }

    fn offer(&mut self, engine: &mut Engine) -> Result<()> {
        match self.lines {
            Lines::Carrier(carrier) => carrier.offer(),
            Lines::Bare(target, dialect) => match open(target, *dialect) {
                Ok(opened) => self.add(engine, opened)?,
                Err(error) => self.fail(&error.to_string(), 1),
            },
        }
        Ok(())
    }

    fn add(&mut self, engine: &mut Engine, opened: Opened) -> Result<()> {
        let Opened { call, number, socket, rest, talk } = opened;
        net::stamp(&socket)?;
        engine.add_line(socket, LineEnd::new(talk, &rest))?;
        self.streams.insert(number, self.calls.len() as u32);
        self.calls.push((call, number));
        self.setup.answered += 1;
        self.up += 1;
        self.open += 1;
        Ok(())
    }

    /// Takes what has become of calls.
    fn look(&mut self, engine: &mut Engine) -> Result<()> {
        if let Lines::Carrier(carrier) = self.lines {
            while let Some(came) = carrier.came() {
                match came {
                    Came::Line(opened) => self.add(engine, opened)?,
                    Came::Say(number, opcode, bytes) => {
                        if let Some(stream) = self.streams.get(&number) {
                            engine.say_on_line(*stream, opcode, &bytes);
                        }
                    }
                    Came::Ended(call) => self.ended(engine, &call),
                }
            }
        }
        while let Some(stream) = engine.closed_line() {
            self.open = self.open.saturating_sub(1);
            self.lost();
            let number = self.calls.get(stream as usize).map(|(_, number)| *number);
            if let (Lines::Carrier(carrier), Some(number)) = (self.lines, number) {
                carrier.closed(number);
            }
        }
        Ok(())
    }

    fn ended(&mut self, engine: &mut Engine, call: &str) {
        match self.calls.iter().position(|(known, _)| known == call) {
            Some(stream) => engine.stop(stream as u32),
            None => self.fail("ended before its audio", 1),
        }
    }

    /// A socket was closed: while the call was meant to last that is a fault.
    fn lost(&mut self) {
        if !self.over {
            self.up = self.up.saturating_sub(1);
            self.setup.hung_up_by_server += 1;
        }
    }

    /// Ends every call, and waits until their sockets are closed.
    fn hang_up(&mut self, engine: &mut Engine) -> Result<()> {
        self.over = true;
        let gap_ns = SECOND_NS / HANGUPS_HZ;
        let start = clock::mono_ns();
        let all = self.calls.len();
        let mut done = 0;
        let last = start + all as u64 * gap_ns;
        while done < all || self.open > 0 {
            let now = clock::mono_ns();
            if now > last + GOODBYE_NS {
                break;
            }
            if done < all && now >= start + done as u64 * gap_ns {
                match (self.lines, self.calls.get(done)) {
                    (Lines::Carrier(carrier), Some((call, _))) => carrier.hang_up(call),
                    _ => engine.close_line(done as u32),
                }
                done += 1;
            }
            engine.step()?;
            self.look(engine)?;
        }
        // Those that come next find the room that these had.
        let Lines::Carrier(carrier) = self.lines else { return Ok(()) };
        while clock::mono_ns() < last + GOODBYE_NS && !carrier.is_idle()? {
            std::thread::sleep(LOOK_GAP);
        }
        Ok(())
    }
}

/// Opens a bare media socket, whose stream has begun.
fn open(target: &Target, dialect: Dialect) -> Result<Opened> {
    let name = format!("{:032x}", fastrand::u128(..));
    let mut talk = Talk::plain(dialect, &format!("AC{name}"), &format!("CA{name}"));
    let (socket, rest, first) = match target {
        Target::Media { server, path } => {
            let (socket, rest) = dial(*server, path, dialect)?;
            (socket, rest, opening(&mut talk, &name))
        }
        Target::AudioSocket { server, uuid } => {
            let uuid = uuid.unwrap_or_else(|| fastrand::u128(..));
            let mut first = Vec::new();
            line::message(&mut first, KIND_UUID, &uuid.to_be_bytes());
            (net::connect(*server)?, Vec::new(), first)
        }
        Target::Sip { .. } => return Err(PerfError::Usage("no media socket".into())),
    };
    if socket.send_with_flags(&first, libc::MSG_NOSIGNAL)? != first.len() {
        return Err(PerfError::Peer("a fresh socket took less than its first messages".into()));
    }
    Ok(Opened { call: name, number: fastrand::u32(..), socket, rest, talk })
}

fn dial(server: SocketAddrV4, path: &str, dialect: Dialect) -> Result<(Socket, Vec<u8>)> {
    let header = match dialect {
        Dialect::Media => "Sec-WebSocket-Protocol: media\r\n",
        _ => "",
    };
    dial_with(server, path, fastrand::u128(..).to_be_bytes(), header)
}

/// What a stream begins with, framed.
fn opening(talk: &mut Talk, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if talk.dialect() == Dialect::Media {
        let text = format!(
            "MEDIA_START connection_id:{name} channel:WebSocket/bench/{name} channel_id:{name} \
             format:ulaw optimal_frame_size:160 ptime:20"
        );
        frame::write(&mut out, frame::TEXT, text.as_bytes(), Some(MASK));
        return out;
    }
    for message in talk.opening() {
        frame::write(&mut out, frame::TEXT, message.as_bytes(), Some(MASK));
    }
    out
}
