//! Carriers in miniature: REST side with its errors, signed webhooks, media socket with the
//! carrier's pacing, buffer, clear and mark. For tests, measurements, and newcomers who have no
//! account yet.
//!
//! An emulator does no I/O. A shell owns the sockets: it hands in what happened, does what comes
//! out, and is told when to come back. An emulator is written from the carrier's documents and
//! shares no code with the adapter that reads or writes messages, so that a misreading does not
//! cancel out.

pub(crate) mod api;
pub(crate) mod asking;
#[cfg(test)]
pub(crate) mod bench;
pub mod form;
pub(crate) mod playback;
mod quirks;
pub(crate) mod reports;
pub(crate) mod speech;
mod wires;
#[cfg(test)]
pub(crate) mod world;
pub mod xml;

use std::fmt;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde_json::Value;

pub use quirks::{Fault, Quirks};
pub use wires::{Upgraded, WireOutput, Wires};

use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::exchange::{HttpRequest, HttpResponse};

/// A provider's emulator, as its [spec](crate::spec::ProviderSpec) names it.
pub struct EmulatorSpec {
    /// A configuration, as a client would write it, of an account whose API is at `api_base`.
    pub config: fn(api_base: &str) -> Value,
    /// Format of the audio that persons speak and hear.
    pub audio: AudioFormat,
    /// Begins.
    pub open: fn(EmulatorStart) -> Box<dyn Emulator>,
}

impl fmt::Debug for EmulatorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmulatorSpec").field("audio", &self.audio).finish_non_exhaustive()
    }
}

/// What an emulator begins with.
#[derive(Debug)]
pub struct EmulatorStart {
    /// The account that it plays, as the server has it: with the same secrets.
    pub config: RawConfig,
    /// Telephone numbers of the account, as E.164 writes them.
    pub numbers: Vec<String>,
    /// Where calls to these numbers are offered until a request binds them elsewhere: address of
    /// the hook. Of a PBX, which has no hooks: the address of the server, as its files have it.
    pub voice_url: Option<String>,
    /// What is otherwise random follows from it.
    pub seed: u64,
    /// What goes wrong, or differs.
    pub quirks: Quirks,
}

/// The time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Orders events.
    pub now: MonoTime,
    /// Milliseconds since 1970, for what messages tell.
    pub unix_ms: u64,
}

/// A carrier in miniature, with all its calls. Sans-I/O: after each input,
/// [`poll`](Self::poll) until it yields nothing, then wait for an input or the
/// [`deadline`](Self::deadline).
pub trait Emulator: Send {
    /// Answers a request to the carrier's API; its address may be absolute or begin with the path.
    /// `None`: it is never answered.
    fn rest(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse>;

    /// The answer to a webhook that [`Output::Hook`] sent; `None` if there was none.
    fn answered(&mut self, clock: Clock, hook: u32, answer: Option<HttpResponse>);

    /// Something happened to a media socket.
    fn socket(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>);

    /// A person does something.
    fn command(&mut self, clock: Clock, command: Command);

    /// The deadline came.
    fn timeout(&mut self, clock: Clock);

    /// The next thing to do.
    fn poll(&mut self) -> Option<Output>;

    /// When to call [`timeout`](Self::timeout); `None` to wait without end.
    fn deadline(&self) -> Option<MonoTime>;

    /// The same carrier, if it has more than requests, webhooks and sockets that it opens.
    fn wires(&mut self) -> Option<&mut dyn Wires> {
        None
    }
}

/// What happened to a media socket.
#[derive(Clone, Copy, Debug)]
pub enum SocketInput<'a> {
    /// It is open.
    Opened,
    /// It could not be opened; the HTTP status, if there was one.
    Refused(Option<u16>),
    /// A message came.
    Message(MessageKind, &'a [u8]),
    /// It is closed; the code, if it was closed in order (RFC 6455 7.4).
    Closed(Option<u16>),
}

/// What a person does.
#[derive(Clone, Debug)]
pub enum Command {
    /// Calls a number of the account. Answered by [`Told::Offered`].
    Call {
        /// The calling number.
        from: String,
        /// The called number.
        to: String,
    },
    /// Answers the telephone that rings.
    Answer(String),
    /// Is busy.
    Busy(String),
    /// Does not want the call.
    Decline(String),
    /// Hangs up.
    Hangup(String),
    /// Speaks: the audio follows what is still to be said.
    Speak {
        /// The carrier's id of the call.
        call: String,
        /// Audio in the emulator's format.
        audio: Vec<u8>,
    },
    /// Presses a key.
    Press {
        /// The carrier's id of the call.
        call: String,
        /// `0-9`, `A-D`, `*`, `#`.
        digit: char,
    },
    /// The media socket is lost without a word.
    Drop(String),
}

/// What an emulator wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this webhook; its answer comes back with the number.
    Hook {
        /// A number that is unique.
        hook: u32,
        /// The request, signed.
        request: HttpRequest,
    },
    /// Open a media socket (`ws://` or `wss://`).
    Open {
        /// A number that is unique.
        socket: u32,
        /// The upgrade request, as far as the carrier has a say in it.
        request: HttpRequest,
    },
    /// Send a message.
    Message {
        /// The socket.
        socket: u32,
        /// Its kind.
        kind: MessageKind,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Close a socket in order.
    Close {
        /// The socket.
        socket: u32,
        /// The code (RFC 6455 7.4).
        code: u16,
    },
    /// Cut a connection off.
    Cut {
        /// The socket.
        socket: u32,
    },
    /// Something to be told to whoever plays the persons.
    Told(Told),
}

/// What is told to whoever plays the persons. `call` is the carrier's id.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// A person's call was offered to the server.
    Offered {
        /// The call.
        call: String,
    },
    /// A telephone rings.
    Rings {
        /// The call.
        call: String,
        /// The calling number.
        from: String,
        /// The called number.
        to: String,
    },
    /// The server took the call, or the person did.
    Answered {
        /// The call.
        call: String,
    },
    /// The media stream is up.
    Streaming {
        /// The call.
        call: String,
    },
    /// The person hears this.
    Heard {
        /// The call.
        call: String,
        /// Audio in the emulator's format.
        audio: Vec<u8>,
    },
    /// The person hears keys.
    Keys {
        /// The call.
        call: String,
        /// The keys.
        digits: String,
    },
    /// The person is spoken to by the carrier's voice.
    Said {
        /// The call.
        call: String,
        /// What.
        text: String,
    },
    /// The call is being handed over.
    HandedOver {
        /// The call.
        call: String,
        /// Who gets it: a number, an address, or the name of a conference.
        to: String,
    },
    /// The call is over.
    Ended {
        /// The call.
        call: String,
        /// The carrier's word for why.
        why: String,
    },
    /// The server did what a real carrier would complain about.
    Complaint {
        /// The call, if it is about one.
        call: Option<String>,
        /// The carrier's code and what it means.
        what: String,
    },
}
