//! The thread that drives all calls: SIP in and out, state machines, commands to the workers.
//!
//! One thread and one queue of facts, so that nothing of a call is ever seen half done. What may
//! take time (dialling agents, HTTP) happens elsewhere and comes back as a request.

mod agents;
mod begin;
mod capture;
mod counting;
mod early;
mod effects;
mod gate;
mod holding;
mod incoming;
mod observe;
mod orders;
mod phones;
mod place;
mod record;
mod redirecting;
mod referred;
mod registrations;
mod replacing;
mod requests;
mod security;
mod sip;
mod takeover;
mod transferring;

pub(crate) use sip::leg_format;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use media::time::MonoTime;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::call::{Effect, Input};
use super::live::LiveCall;
use super::ports::Ports;
use super::request::{Handle, REQUESTS_MAX, Request};
use super::slots::Slots;
use super::sounds::Sounds;
use super::transfer;
use crate::agent::dial::Dialler;
use crate::capture::Registry;
use crate::config::Config;
use crate::recording::{Recorder, Store};
use crate::sip::core::endpoint::{Counters, DialogId, Endpoint};
use crate::sip::core::registrar::Registrar;
use crate::sip::endpoint::tcp::{TcpEvent, TcpTransport};
use crate::sip::endpoint::udp::{BATCH_MAX, UdpTransport};
use crate::telemetry::Metrics;
use crate::workers::WorkerHandle;
use crate::workers::command::{CallKey, Event, EventKind};
use crate::workers::poller::now;

/// Drives all calls of the process.
pub struct Control {
    config: Arc<Config>,
    endpoint: Endpoint,
    udp: Option<UdpTransport>,
    tcp: TcpTransport,
    tcp_events: mpsc::Receiver<TcpEvent>,
    local: std::net::SocketAddr,
    workers: Vec<WorkerHandle>,
    worker_events: mpsc::Receiver<Event>,
    requests: mpsc::Receiver<Request>,
    handle: Handle,
    calls: HashMap<CallKey, LiveCall>,
    /// Telephones that registered with us.
    registrar: Registrar,
    /// Where we are registered.
    registrations: Vec<registrations::TrunkRegistration>,
    by_dialog: HashMap<DialogId, CallKey>,
    by_id: HashMap<Uuid, CallKey>,
    /// Deadlines of calls; an entry that is no longer the call's is skipped.
    deadlines: std::collections::BTreeSet<(MonoTime, CallKey)>,
    next_key: u64,
    next_attempt: u64,
    ports: Ports,
    sounds: Sounds,
    slots: Slots,
    recorder: Recorder,
    captures: Arc<Mutex<Registry>>,
    dialler: Dialler,
    io: tokio::runtime::Handle,
    metrics: Arc<Metrics>,
    rate: super::rate::Rate,
    effects: Vec<Effect>,
    /// Facts that calls are told next.
    later: VecDeque<(CallKey, Input)>,
    draining: bool,
    live: watch::Sender<usize>,
    /// What of the SIP core's counts is in the metrics already.
    counted: Counters,
}

/// What the control is made of.
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The SIP core.
    pub endpoint: Endpoint,
    /// The media workers.
    pub workers: Vec<WorkerHandle>,
    /// What they tell.
    pub worker_events: mpsc::Receiver<Event>,
    /// Runs what may take time.
    pub io: tokio::runtime::Handle,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Reaches a control that was built.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Takes requests.
    pub handle: Handle,
    /// Living calls.
    pub live: watch::Receiver<usize>,
    /// Where SIP listens.
    pub sip: std::net::SocketAddr,
    /// Recordings.
    pub recordings: Store,
    /// Captures.
    pub captures: Arc<Mutex<Registry>>,
}

impl Control {
    /// Binds the SIP sockets. Call it within the runtime that will run [`Control::run`].
    ///
    /// # Errors
    ///
    /// When an address cannot be bound; the message names it.
    pub async fn bind(parts: Parts) -> std::io::Result<(Self, Reach)> {
        let Parts { config, endpoint, workers, worker_events, io, metrics } = parts;
        let named = |transport: &str, error: std::io::Error| {
            let at = config.sip.listen;
            std::io::Error::new(error.kind(), format!("SIP {transport} on {at}: {error}"))
        };
        let mut local = config.sip.listen;
        let mut udp = None;
        if config.sip.udp {
            let transport = UdpTransport::bind(local).map_err(|error| named("UDP", error))?;
            local = transport.local();
            udp = Some(transport);
        }
        let (tcp, tcp_events) = TcpTransport::new();
        if config.sip.tcp {
            local = tcp.listen(local).await.map_err(|error| named("TCP", error))?;
        }
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let handle = Handle(sender);
        let (live, watch) = watch::channel(0);
        let (recorder, recordings, captures) = keepers(&config, &handle)?;
        let reach = Reach {
            handle: handle.clone(),
            live: watch,
            sip: local,
            recordings,
            captures: Arc::clone(&captures),
        };
        let mut endpoint = endpoint;
        let registrations = registrations::registrations(&config, local)?;
        let contacts = registrations
            .iter()
            .map(|entry| (entry.registration.settings().contact_user.clone(), entry.trunk));
        gate::guard(&mut endpoint, &config, contacts.collect())?;
        let control = Self {
            ports: Ports::new(config.rtp.address, config.rtp.ports),
            rate: super::rate::Rate::new(config.limits.calls_per_second),
            config,
            endpoint,
            udp,
            tcp,
            tcp_events,
            local,
            workers,
            worker_events,
            requests,
            handle,
            calls: HashMap::new(),
            registrar: Registrar::default(),
            registrations,
            by_dialog: HashMap::new(),
            by_id: HashMap::new(),
            deadlines: std::collections::BTreeSet::new(),
            next_key: 1,
            next_attempt: 1,
            sounds: Sounds::default(),
            slots: Slots::default(),
            recorder,
            captures,
            dialler: Dialler::new(),
            io,
            metrics,
            effects: Vec::new(),
            later: VecDeque::new(),
            draining: false,
            live,
            counted: Counters::default(),
        };
        Ok((control, reach))
    }

    /// Runs until it was told to drain and the last call is over, or to stop.
    pub async fn run(mut self) {
        let mut end_at = None;
        loop {
            self.turn();
            if self.draining && self.calls.is_empty() {
                let until = self.leaving_until(now());
                if now() >= *end_at.get_or_insert(until) || until <= now() {
                    break;
                }
            }
            let deadline = self.next_deadline().min(end_at.unwrap_or(MonoTime::MAX)).since(now());
            tokio::select! {
                biased;
                () = readable(self.udp.as_ref()) => self.datagrams(),
                Some(event) = self.worker_events.recv() => self.worker_events(event),
                Some(event) = self.tcp_events.recv() => self.stream_event(event),
                Some(request) = self.requests.recv() => {
                    let stop = matches!(request, Request::Stop);
                    self.request(request);
                    if stop {
                        self.turn();
                        if self.leaving_until(now()) <= now() {
                            break;
                        }
                        // What is left of the calls is not waited for, but the registrars are.
                        self.calls.clear();
                    }
                }
                () = tokio::time::sleep(deadline) => {}
            }
        }
    }

    /// Does what is due and what follows from what happened, until nothing does.
    fn turn(&mut self) {
        let at = now();
        if self.endpoint.deadline().is_some_and(|due| due <= at) {
            self.endpoint.handle_timeout(at);
        }
        if self.registrar.deadline().is_some_and(|due| due <= at) {
            self.registrar.expire(at);
        }
        if self.registrations_due() <= at {
            self.register(at);
        }
        while let Some((due, key)) = self.deadlines.first().copied() {
            if due > at {
                break;
            }
            self.deadlines.pop_first();
            self.due(key);
        }
        loop {
            if let Some((key, input)) = self.later.pop_front() {
                self.tell(key, input);
            } else if let Some(event) = self.endpoint.poll_event() {
                self.sip_event(event);
            } else {
                break;
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.transmit(transmit);
        }
        self.count_drops();
        self.live
            .send_if_modified(|live| std::mem::replace(live, self.calls.len()) != self.calls.len());
    }

    fn next_deadline(&self) -> MonoTime {
        let calls = self.deadlines.first().map_or(MonoTime::MAX, |(due, _)| *due);
        let sip = self.endpoint.deadline().unwrap_or(MonoTime::MAX);
        // An hour: the runtime's timer has an end, and waking up once an hour costs nothing.
        let phones = self.registrar.deadline().unwrap_or(MonoTime::MAX);
        let registrations = self.registrations_due();
        calls.min(sip).min(phones).min(registrations).min(now() + Duration::from_secs(3_600))
    }

    /// Takes what has arrived by UDP, a batch at a time.
    fn datagrams(&mut self) {
        for _ in 0..BATCH_MAX {
            let Some(udp) = &mut self.udp else { return };
            let Some((peer, data)) = udp.receive() else { return };
            counting::came(&self.metrics.sip, &data);
            let flow = sip::udp_flow(self.local, peer);
            self.capture_message(true, &flow, &data);
            self.endpoint.handle_datagram(now(), flow, data);
        }
    }

    /// Takes what the workers told, a batch at a time.
    fn worker_events(&mut self, first: Event) {
        let mut next = Some(first);
        for _ in 0..BATCH_MAX {
            let Some(event) = next else { return };
            self.worker_event(event);
            next = self.worker_events.try_recv().ok();
        }
        if let Some(event) = next {
            self.worker_event(event);
        }
    }

    fn worker_event(&mut self, event: Event) {
        use adapters::agent::EndedBy;

        use super::cause::Cause;
        let input = match event.kind {
            EventKind::AgentAnswer => Input::AgentAnswer,
            EventKind::AgentReject { cause } => {
                Input::AgentReject(Cause::from_agent(cause.as_deref()))
            }
            EventKind::AgentHungUp { .. } => Input::AgentHangup,
            EventKind::AgentLost(loss) => {
                if let Some(call) = self.calls.get(&event.call) {
                    tracing::warn!(parent: &call.span, ?loss, "agent lost");
                }
                Input::AgentLost
            }
            EventKind::Played => {
                let playing = self.calls.get(&event.call).is_some_and(|call| call.playing_message);
                if playing { Input::MessagePlayed } else { Input::AgentHangup }
            }
            EventKind::AgentTransfer { kind, destination, options } => {
                return self.agent_transfers(event.call, &kind, &destination, &options);
            }
            EventKind::AgentHold(on) => {
                // A call that is not answered was told so by its worker.
                return drop(self.hold(event.call, on));
            }
            EventKind::MediaTimeout => Input::End(Cause::MediaTimeout, EndedBy::Network),
            EventKind::AgentRecord(order) => return self.agent_records(event.call, order),
            EventKind::Silence(notice) => return self.silence(event.call, notice),
            EventKind::Closed(report) => return self.closed(event.call, &report),
        };
        self.tell(event.call, input);
    }

    /// Tells a call a fact and does what follows.
    fn tell(&mut self, key: CallKey, input: Input) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let mut effects = std::mem::take(&mut self.effects);
        call.call.handle(now(), input, &mut effects);
        self.reschedule(key);
        self.perform(key, &mut effects);
        self.effects = effects;
    }

    /// Keeps the call's entry among the deadlines up to date.
    fn reschedule(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let deadline = call.deadline();
        let before = std::mem::replace(&mut call.scheduled, deadline);
        if before != deadline {
            self.deadlines.remove(&(before, key));
        }
        if deadline < MonoTime::MAX {
            self.deadlines.insert((deadline, key));
        }
    }

    /// A deadline of the call has come.
    fn due(&mut self, key: CallKey) {
        self.tell(key, Input::Timeout);
        self.transfer_input(key, transfer::Input::Timeout);
        self.takeover_due(key);
        self.tell_hold(key);
    }
}

/// What keeps recordings and captures.
fn keepers(
    config: &Config,
    handle: &Handle,
) -> std::io::Result<(Recorder, Store, Arc<Mutex<Registry>>)> {
    let to_control = handle.clone();
    let recorder = Recorder::start(move |event| to_control.tell(Request::Recorder(event)))?;
    let recordings = Store::new(config.recording_folders(), recorder.open());
    Ok((recorder, recordings, Arc::new(Mutex::new(Registry::new(config.captures())))))
}

async fn readable(udp: Option<&UdpTransport>) {
    match udp {
        // An error shows again in the receive that follows.
        Some(udp) => drop(udp.readable().await),
        None => std::future::pending().await,
    }
}
