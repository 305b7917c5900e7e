//! Runs a carrier in miniature on real sockets: its API, its webhooks, its media sockets.
//!
//! The [emulator](adapters::emulate) is a value without I/O; one task owns it and hands in what
//! happens. Every connection is a task of its own that tells it what came.

mod bare;
mod client;
mod hook;
mod rest;
mod socket;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adapters::emulate::{
    Clock, Command, Emulator, Output, SocketInput, Told, Upgraded, WireOutput,
};
use adapters::exchange::{HttpRequest, HttpResponse};
use http::StatusCode;
use tokio::net::{TcpListener, UdpSocket};
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
    /// The server wants to open a WebSocket.
    Upgrade { request: HttpRequest, reply: oneshot::Sender<Accepted> },
    /// A datagram came.
    Datagram { from: SocketAddr, data: Vec<u8> },
    /// A webhook was answered, or was not.
    Answered { hook: u32, request: HttpRequest, answer: Option<HttpResponse> },
    /// Something came on a media socket.
    Socket { socket: u32, came: Came },
}

/// What becomes of a WebSocket that the server wants to open.
enum Accepted {
    /// It is open, and gets its orders from here.
    Open { socket: u32, subprotocol: Option<&'static str>, orders: mpsc::Receiver<Order> },
    /// It is answered so.
    Refused(HttpResponse),
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
pub fn start(mut emulator: Box<dyn Emulator>, listener: TcpListener) -> Running {
    let (commands, receiver) = mpsc::channel(INPUTS_MAX);
    let (tell, events) = mpsc::unbounded_channel();
    let (inputs, came) = mpsc::channel(INPUTS_MAX);
    let datagrams = emulator.wires().and_then(|_| {
        let bound = listener.local_addr().and_then(bare::bind);
        let failed = |error| {
            let what = format!("no port of UDP with the number of the API's: {error}");
            // Nobody has the other end yet but whoever gets it from here.
            let _ = tell.send(Event::Told(Told::Complaint { call: None, what }));
        };
        bound.map_err(failed).ok().map(Arc::new)
    });
    let mut serving = vec![tokio::spawn(rest::serve(listener, inputs.clone()))];
    if let Some(socket) = &datagrams {
        serving.push(tokio::spawn(bare::receive(Arc::clone(socket), inputs.clone())));
    }
    let core = Core { emulator, inputs, tell, sockets: HashMap::new(), datagrams };
    tokio::spawn(async move {
        core.run(receiver, came).await;
        serving.iter().for_each(tokio::task::JoinHandle::abort);
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
    /// Where datagrams come and go, if the carrier has such.
    datagrams: Option<Arc<UdpSocket>>,
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
            Input::Upgrade { request, reply } => {
                let accepted = self.upgrade(&request);
                let status = match &accepted {
                    Some(Accepted::Open { .. }) => Some(StatusCode::SWITCHING_PROTOCOLS),
                    Some(Accepted::Refused(answer)) => Some(answer.status),
                    None => None,
                };
                self.tell(Event::Asked { request, status });
                if let Some(accepted) = accepted {
                    // The server may have given up.
                    let _ = reply.send(accepted);
                }
            }
            Input::Datagram { from, data } => {
                if let Some(wires) = self.emulator.wires() {
                    wires.datagram(clock(), from, &data);
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

    /// The server wants to open a WebSocket; none if that is never answered.
    fn upgrade(&mut self, request: &HttpRequest) -> Option<Accepted> {
        let Some(wires) = self.emulator.wires() else {
            return self.emulator.rest(clock(), request).map(Accepted::Refused);
        };
        Some(match wires.upgrade(clock(), request) {
            Upgraded::Open { socket, subprotocol } => {
                let (sender, orders) = mpsc::channel(MESSAGES_MAX);
                self.sockets.insert(socket, sender);
                Accepted::Open { socket, subprotocol, orders }
            }
            Upgraded::Refused(answer) => Accepted::Refused(answer),
        })
    }

    /// What is to be done on the wires of a carrier that has such.
    fn wires(&mut self) {
        while let Some(output) = self.emulator.wires().and_then(|wires| wires.poll()) {
            match output {
                WireOutput::Datagram { to, data } => {
                    if let Some(socket) = &self.datagrams {
                        // What does not go out now would come too late.
                        let _ = socket.try_send_to(&data, to);
                    }
                }
                WireOutput::Connect { socket, to } => {
                    let (orders, receiver) = mpsc::channel(MESSAGES_MAX);
                    self.sockets.insert(socket, orders);
                    tokio::spawn(bare::run(socket, to, receiver, self.inputs.clone()));
                }
            }
        }
    }

    fn outputs(&mut self) {
        self.wires();
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
