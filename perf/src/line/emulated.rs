//! A carrier in miniature that offers many calls: what is signalled is its emulator's, which shares
//! no code with what the server reads and writes; audio is the generator's.
//!
//! The emulator is never told that time has passed, so that it speaks and plays nothing itself. A
//! call that a person makes waits for nothing but the server. What the server says in text on a
//! media socket is the emulator's to hear where the stream is a conversation.

use std::net::SocketAddrV4;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adapters::agent::MessageKind;
use adapters::emulate::{
    Clock, Command, Emulator, EmulatorSpec, EmulatorStart, Output, Quirks, SocketInput, Told,
};
use adapters::exchange::{HttpRequest, HttpResponse};
use adapters::spec::ProviderSpec;
use adapters::table::PROVIDERS;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use media::time::MonoTime;
use socket2::Socket;

use super::account::Account;
use super::aside::Aside;
use super::key::Key;
use super::talk::{Dialect, Talk};
use super::{api, http as client};
use crate::agent::server::dial_with;
use crate::error::{PerfError, Result};
use crate::sys::clock::{self, SECOND_NS};
use crate::ws::frame;

/// The number of the account, and of whoever calls it.
const NUMBER: &str = "+15550100001";
const PERSON: &str = "+15550100002";

/// Threads that send webhooks and open sockets.
const HANDS: usize = 4;

/// How long what was made over HTTP may take to be in use, in nanoseconds.
const IN_USE_NS: u64 = 20 * SECOND_NS;

/// How long a trial call may take, and how long the next one waits after one that failed.
const TRIAL: Duration = Duration::from_secs(2);
const TRIAL_GAP: Duration = Duration::from_millis(100);

/// What a thread is to do.
enum Job {
    Hook(u32, HttpRequest),
    Open(u32, HttpRequest),
}

/// What has become of a call.
pub(crate) enum Came {
    /// Its media socket is open, and its stream has begun.
    Line(Opened),
    /// Say this on a socket.
    Say(u32, u8, Vec<u8>),
    /// It is over.
    Ended(String),
}

/// A media socket that is open.
pub(crate) struct Opened {
    /// The carrier's id of the call.
    pub(crate) call: String,
    /// The carrier's number of the socket.
    pub(crate) number: u32,
    /// The socket.
    pub(crate) socket: Socket,
    /// What came behind the handshake.
    pub(crate) rest: Vec<u8>,
    /// What is said on it.
    pub(crate) talk: Talk,
}

/// The carrier, and its account at the server.
pub(crate) struct Carrier {
    shared: Arc<Shared>,
    came: Receiver<Came>,
    /// How it speaks.
    pub(crate) dialect: Dialect,
    /// Removed at the server when this is dropped.
    account: Account,
}

/// What the threads share.
struct Shared {
    emulator: Mutex<Box<dyn Emulator>>,
    dialect: Dialect,
    jobs: Sender<Job>,
    came: Sender<Came>,
    /// The last thing that went wrong, for whoever asks why nothing works.
    wrong: Mutex<Option<String>>,
}

impl Carrier {
    /// Plays the carrier of that name to the server, with calls for that agent, and proves by a
    /// call that it works.
    pub(crate) fn set_up(name: &str, server: SocketAddrV4, key: &Key, agent: &str) -> Result<Self> {
        let (spec, emulator) = named(name)?;
        let dialect = Dialect::of_carrier(name).ok_or_else(|| {
            PerfError::Usage(format!("the audio of {name} is not spoken here yet"))
        })?;
        let (listener, at) = api::listen()?;
        let mut fields = (emulator.config)(&format!("http://{at}"));
        let config = spec.read(&fields, None);
        let config = config.map_err(|error| PerfError::Usage(error.to_string()))?;
        fields["provider"] = name.into();
        let account = Account::make(server, key, &fields, (NUMBER, agent))?;
        // An account that is not set up by requests is told the address by people.
        let by_hand = spec.calls.provision.is_none();
        let start = EmulatorStart {
            config,
            numbers: vec![NUMBER.to_owned()],
            voice_url: if by_hand { account.inbound_url()? } else { None },
            // Calls of another run are others.
            seed: clock::real_ns(),
            quirks: Quirks::default(),
        };
        let (jobs, todo) = mpsc::channel();
        let (tell, came) = mpsc::channel();
        let shared = Arc::new(Shared {
            emulator: Mutex::new((emulator.open)(start)),
            dialect,
            jobs,
            came: tell,
            wrong: Mutex::new(None),
        });
        let answers = Arc::clone(&shared);
        api::serve(listener, Arc::new(move |request: &HttpRequest| answers.rest(request)))?;
        hands(&shared, todo)?;
        account.bind()?;
        let carrier = Self { shared, came, dialect, account };
        carrier.prove()?;
        Ok(carrier)
    }

    /// Places calls until one gets a media socket: what was made over HTTP is in use a moment
    /// later.
    fn prove(&self) -> Result<()> {
        let end = clock::mono_ns() + IN_USE_NS;
        loop {
            self.offer();
            match self.came.recv_timeout(TRIAL) {
                Ok(Came::Line(opened)) => {
                    self.settle(&opened);
                    return Ok(());
                }
                _ if clock::mono_ns() < end => std::thread::sleep(TRIAL_GAP),
                _ => {
                    let wrong = lock(&self.shared.wrong).take();
                    let wrong = wrong.unwrap_or_else(|| "no media socket was asked for".to_owned());
                    return Err(PerfError::Peer(format!("the trial call got nowhere: {wrong}")));
                }
            }
        }
    }

    /// Ends the trial call, says its last words, and lets its socket end.
    fn settle(&self, opened: &Opened) {
        let Opened { call, number, socket, rest, .. } = opened;
        let mut aside = Aside::default();
        self.shared.does(Command::Hangup(call.clone()), Some((*number, &mut aside)));
        if self.dialect.is_session() {
            // It may have been closed already.
            let _ = aside.converse(socket, rest, |aside, text| {
                self.shared.text(*number, text, Some(aside));
            });
        }
        aside.say(socket);
        while let Ok(came) = self.came.recv_timeout(TRIAL_GAP) {
            match came {
                Came::Say(on, opcode, bytes) if on == *number => {
                    aside.add(opcode, bytes);
                    aside.say(socket);
                }
                // One before it, that was late.
                Came::Line(late) => self.hang_up(&late.call),
                Came::Say(..) | Came::Ended(_) => {}
            }
        }
        self.closed(*number);
    }

    /// A person calls.
    pub(crate) fn offer(&self) {
        let (from, to) = (PERSON.to_owned(), NUMBER.to_owned());
        self.shared.does(Command::Call { from, to }, None);
    }

    /// The person hangs up.
    pub(crate) fn hang_up(&self, call: &str) {
        self.shared.does(Command::Hangup(call.to_owned()), None);
    }

    /// The server has closed a media socket.
    pub(crate) fn closed(&self, number: u32) {
        self.shared.input(number, SocketInput::Closed(Some(frame::NORMAL)), None);
    }

    /// True if the server has no call any more.
    pub(crate) fn is_idle(&self) -> Result<bool> {
        self.account.is_idle()
    }

    /// The next thing that has become of a call.
    pub(crate) fn came(&self) -> Option<Came> {
        self.came.try_recv().ok()
    }
}

impl Shared {
    /// A request of the server to the API.
    fn rest(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let mut emulator = lock(&self.emulator);
        let answer = emulator.rest(now(), request);
        self.carry_out(&mut emulator, None);
        answer
    }

    /// A person does something; what is said on the socket of an aside is kept there.
    fn does(&self, command: Command, aside: Option<(u32, &mut Aside)>) {
        let mut emulator = lock(&self.emulator);
        emulator.command(now(), command);
        self.carry_out(&mut emulator, aside);
    }

    /// Something has happened to a media socket, on which an aside is spoken if there is one.
    fn input(&self, number: u32, input: SocketInput<'_>, aside: Option<&mut Aside>) {
        let mut emulator = lock(&self.emulator);
        emulator.socket(now(), number, input);
        self.carry_out(&mut emulator, aside.map(|aside| (number, aside)));
    }

    /// The server says this on a media socket.
    fn text(&self, number: u32, text: &[u8], aside: Option<&mut Aside>) {
        self.input(number, SocketInput::Message(MessageKind::Text, text), aside);
    }

    /// Does what comes out of the emulator; what is said on the socket of an aside is kept there.
    fn carry_out(
        &self,
        emulator: &mut MutexGuard<'_, Box<dyn Emulator>>,
        mut aside: Option<(u32, &mut Aside)>,
    ) {
        // Whom nobody listens to any more has nothing to say.
        while let Some(output) = emulator.poll() {
            match output {
                Output::Hook { hook, request } => drop(self.jobs.send(Job::Hook(hook, request))),
                Output::Open { socket, request } => {
                    drop(self.jobs.send(Job::Open(socket, request)));
                }
                Output::Message { socket, kind, bytes } => {
                    let opcode = match kind {
                        MessageKind::Text => frame::TEXT,
                        MessageKind::Binary => frame::BINARY,
                    };
                    self.say((socket, opcode, bytes), &mut aside);
                }
                Output::Close { socket, code } => {
                    self.say((socket, frame::CLOSE, code.to_be_bytes().to_vec()), &mut aside);
                }
                // Nothing is cut off but by quirks, of which there are none.
                Output::Cut { .. } => {}
                Output::Told(told) => {
                    self.told(told, aside.as_mut().map(|(_, aside)| &mut **aside))
                }
            }
        }
    }

    /// The carrier says this on a socket: in the aside there, or by whoever has the socket.
    fn say(
        &self,
        (socket, opcode, bytes): (u32, u8, Vec<u8>),
        aside: &mut Option<(u32, &mut Aside)>,
    ) {
        match aside {
            Some((number, aside)) if *number == socket => aside.add(opcode, bytes),
            _ => drop(self.came.send(Came::Say(socket, opcode, bytes))),
        }
    }

    fn told(&self, told: Told, aside: Option<&mut Aside>) {
        match told {
            Told::Streaming { call } => {
                if let Some(aside) = aside {
                    aside.call = Some(call);
                }
            }
            Told::Ended { call, why } => {
                if aside.is_some() {
                    self.wrong(format!("a call was over before its audio: {why}"));
                }
                drop(self.came.send(Came::Ended(call)));
            }
            Told::Complaint { what, .. } => self.wrong(what),
            _ => {}
        }
    }

    fn wrong(&self, what: String) {
        *lock(&self.wrong) = Some(what);
    }

    /// Sends a webhook.
    fn hook(&self, hook: u32, request: &HttpRequest) {
        let answer = send(request);
        match &answer {
            Ok(HttpResponse { status, body, .. }) if !status.is_success() => {
                let said: String = String::from_utf8_lossy(body).chars().take(300).collect();
                self.wrong(format!("a webhook was answered {status}: {said}"));
            }
            Ok(_) => {}
            Err(error) => self.wrong(error.to_string()),
        }
        let mut emulator = lock(&self.emulator);
        emulator.answered(now(), hook, answer.ok());
        self.carry_out(&mut emulator, None);
    }

    /// Opens a media socket and says what its stream begins with.
    fn open(self: &Arc<Self>, number: u32, request: &HttpRequest) {
        let dialled = client::place(&request.url).and_then(|(at, path)| {
            dial_with(at, &path, [number as u8; 16], &lines(&request.headers))
        });
        let mut aside = Aside::default();
        let (socket, rest) = match dialled {
            Ok(opened) => opened,
            Err(error) => {
                self.input(number, SocketInput::Refused(None), Some(&mut aside));
                return self.wrong(error.to_string());
            }
        };
        self.input(number, SocketInput::Opened, Some(&mut aside));
        let talk = Talk::opened(self.dialect, &aside.last());
        let (talk, rest) = match self.agree(number, &socket, (talk, rest), &mut aside) {
            Ok(agreed) => agreed,
            Err(error) => {
                self.input(number, SocketInput::Closed(None), Some(&mut aside));
                return self.wrong(error.to_string());
            }
        };
        let Some(call) = aside.call.take() else { return };
        aside.say(&socket);
        drop(self.came.send(Came::Line(Opened { call, number, socket, rest, talk })));
    }

    /// Lets carrier and server agree on a stream, where that takes both of them. From then on the
    /// carrier hears what the server says in text.
    fn agree(
        self: &Arc<Self>,
        number: u32,
        socket: &Socket,
        (talk, rest): (Talk, Vec<u8>),
        aside: &mut Aside,
    ) -> Result<(Talk, Vec<u8>)> {
        if !self.dialect.is_session() {
            return Ok((talk, rest));
        }
        let rest = aside.converse(socket, &rest, |aside, text| {
            self.text(number, text, Some(aside));
        })?;
        let shared = Arc::clone(self);
        let listener = Box::new(move |text: &[u8]| shared.text(number, text, None));
        Ok((talk.heard_by(listener), rest))
    }
}

/// The provider of that name, and its emulator.
fn named(name: &str) -> Result<(&'static ProviderSpec, &'static EmulatorSpec)> {
    let mut all = PROVIDERS.iter().filter_map(|spec| Some((*spec, spec.emulator?)));
    let known: Vec<_> = all.clone().map(|(spec, _)| spec.name).collect();
    all.find(|(spec, _)| spec.name == name).ok_or_else(|| {
        PerfError::Usage(format!("{name} cannot be played: there are {}", known.join(", ")))
    })
}

/// Starts the threads that do what takes time; they end with the process.
fn hands(shared: &Arc<Shared>, todo: Receiver<Job>) -> Result<()> {
    let todo = Arc::new(Mutex::new(todo));
    for _ in 0..HANDS {
        let (shared, todo) = (Arc::clone(shared), Arc::clone(&todo));
        std::thread::Builder::new().name("hand".into()).spawn(move || {
            loop {
                let Ok(job) = lock(&todo).recv() else { return };
                match job {
                    Job::Hook(hook, request) => shared.hook(hook, &request),
                    Job::Open(socket, request) => shared.open(socket, &request),
                }
            }
        })?;
    }
    Ok(())
}

/// Sends a request to the server.
fn send(request: &HttpRequest) -> Result<HttpResponse> {
    let (at, path) = client::place(&request.url)?;
    let body = String::from_utf8_lossy(&request.body);
    let method = request.method.as_str();
    let answer = client::request(at, method, &path, &lines(&request.headers), &body)?;
    let mut headers = HeaderMap::new();
    for (name, value) in &answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    Ok(HttpResponse { status, headers, body: Bytes::from(answer.body) })
}

/// Headers as they are sent, but for those that the connection has of itself.
fn lines(headers: &HeaderMap) -> String {
    let own = ["host", "connection", "content-length", "upgrade"];
    let sent = headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}\r\n", value.to_str().unwrap_or_default())
    };
    sent.map(text).collect()
}

/// The time, by both clocks.
fn now() -> Clock {
    let now = MonoTime::from_nanos(clock::mono_ns());
    Clock { now, unix_ms: clock::real_ns() / 1_000_000 }
}

/// A lock, whatever has become of whoever held it before.
fn lock<T: ?Sized>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
