//! Runs a carrier in miniature on real sockets: its API, its webhooks, its media sockets.
//!
//! The [emulator](adapters::emulate) is a value without I/O; one task owns it and hands in what
//! happens. Every connection is a task of its own that tells it what came.

mod client;
mod hook;
mod rest;
mod socket;

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adapters::emulate::{Clock, Command, Emulator, Output, SocketInput, Told};
use adapters::exchange::{HttpRequest, HttpResponse};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::workers::poller::now;
use socket::{Came, Order};

pub use client::send;
pub use hook::hook_in;

/// Things that may wait for the emulator.
const INPUTS_MAX: usize = 1_024;
/// Messages that may wait for a socket; one that is further behind is cut off.
const MESSAGES_MAX: usize = 4_096;
/// Longest wait for the emulator's deadline: the runtime's timer has an end.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// Something that came from a connection.
enum Input {
    /// A request to the API; without an answer the connection is left waiting.
    Rest { request: HttpRequest, reply: oneshot::Sender<HttpResponse> },
    /// A webhook was answered, or was not.
    Answered { hook: u32, request: HttpRequest, answer: Option<HttpResponse> },
    /// Something came on a media socket.
    Socket { socket: u32, came: Came },
}

/// What happens at a carrier that runs.
#[derive(Clone, Debug)]
pub enum Event {
    /// Persons are told something.
    Told(Told),
    /// The API was asked something.
    Asked {
        /// The request; its address begins with the path.
        request: HttpRequest,
        /// What it was answered; `None` if it never is.
        status: Option<StatusCode>,
    },
    /// A webhook was answered, or was not.
    Hooked {
        /// The webhook.
        request: HttpRequest,
        /// What the server answered, if it did.
        status: Option<StatusCode>,
    },
}

/// A carrier that runs.
#[derive(Debug)]
pub struct Running {
    /// Takes what persons do. The emulator ends when it is dropped.
    pub commands: mpsc::Sender<Command>,
    /// What happens. Nothing is held back for somebody who does not read.
    pub events: mpsc::UnboundedReceiver<Event>,
}

/// Runs `emulator`, whose API is served on `listener`, on the current runtime.
pub fn start(emulator: Box<dyn Emulator>, listener: TcpListener) -> Running {
    let (commands, receiver) = mpsc::channel(INPUTS_MAX);
    let (tell, events) = mpsc::unbounded_channel();
    let (inputs, came) = mpsc::channel(INPUTS_MAX);
    let serving = tokio::spawn(rest::serve(listener, inputs.clone()));
    let core = Core { emulator, inputs, tell, sockets: HashMap::new() };
    tokio::spawn(async move {
        core.run(receiver, came).await;
        serving.abort();
    });
    Running { commands, events }
}

/// The task that owns the emulator.
struct Core {
    emulator: Box<dyn Emulator>,
    inputs: mpsc::Sender<Input>,
    tell: mpsc::UnboundedSender<Event>,
    /// Media sockets by the emulator's numbers.
    sockets: HashMap<u32, mpsc::Sender<Order>>,
}

impl Core {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut came: mpsc::Receiver<Input>) {
        loop {
            self.outputs();
            let wait = self.emulator.deadline().map_or(WAIT_MAX, |deadline| deadline.since(now()));
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.emulator.command(clock(), command),
                    None => return,
                },
                Some(input) = came.recv() => self.input(input),
                () = tokio::time::sleep(wait.min(WAIT_MAX)) => self.emulator.timeout(clock()),
            }
        }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Rest { request, reply } => {
                let answer = self.emulator.rest(clock(), &request);
                let status = answer.as_ref().map(|answer| answer.status);
                self.tell(Event::Asked { request, status });
                if let Some(answer) = answer {
                    // The server may have given up.
                    let _ = reply.send(answer);
                }
            }
            Input::Answered { hook, request, answer } => {
                let status = answer.as_ref().map(|answer| answer.status);
                self.tell(Event::Hooked { request, status });
                self.emulator.answered(clock(), hook, answer);
            }
            Input::Socket { socket, came } => {
                let input = match &came {
                    Came::Opened => SocketInput::Opened,
                    Came::Refused(status) => SocketInput::Refused(*status),
                    Came::Message(kind, bytes) => SocketInput::Message(*kind, bytes),
                    Came::Closed(code) => SocketInput::Closed(*code),
                };
                self.emulator.socket(clock(), socket, input);
                if matches!(came, Came::Refused(_) | Came::Closed(_)) {
                    self.sockets.remove(&socket);
                }
            }
        }
    }

    fn outputs(&mut self) {
        while let Some(output) = self.emulator.poll() {
            match output {
                Output::Hook { hook, request } => {
                    let inputs = self.inputs.clone();
                    tokio::spawn(async move {
                        let answer = send(request.clone()).await;
                        let _ = inputs.send(Input::Answered { hook, request, answer }).await;
                    });
                }
                Output::Open { socket, request } => {
                    let (orders, receiver) = mpsc::channel(MESSAGES_MAX);
                    self.sockets.insert(socket, orders);
                    tokio::spawn(socket::run(socket, request, receiver, self.inputs.clone()));
                }
                Output::Message { socket, kind, bytes } => {
                    self.order(socket, Order::Message(kind, bytes));
                }
                Output::Close { socket, code } => self.order(socket, Order::Close(code)),
                // Its orders end, and with them the connection.
                Output::Cut { socket } => drop(self.sockets.remove(&socket)),
                Output::Told(told) => self.tell(Event::Told(told)),
            }
        }
    }

    fn order(&mut self, socket: u32, order: Order) {
        let sent = self.sockets.get(&socket).is_none_or(|orders| orders.try_send(order).is_ok());
        if !sent {
            self.sockets.remove(&socket);
        }
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more when the program ends.
        let _ = self.tell.send(event);
    }
}

/// The time, by both clocks.
fn clock() -> Clock {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clock { now: now(), unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
}
