//! The thread that drives all calls: SIP in and out, state machines, commands to the workers.
//!
//! One thread and one queue of facts, so that nothing of a call is ever seen half done. What may
//! take time (dialling agents, HTTP) happens elsewhere and comes back as a request.

mod admitting;
mod again;
mod agents;
mod begin;
mod binding;
mod bridging;
mod calling;
mod capture;
mod carrier;
mod certificates;
mod choosing;
mod consulting;
mod counting;
mod crediting;
mod datagrams;
mod digits;
mod directed;
mod early;
mod effects;
mod expiring;
mod external;
mod far;
mod far_digits;
mod far_forking;
mod far_media;
mod far_referred;
mod forking;
mod from_workers;
mod gate;
mod handing;
mod headers;
mod holding;
mod incoming;
mod joining;
mod lines;
mod links;
mod listening;
mod load;
mod logging;
mod observe;
mod orders;
mod parking;
mod pbx;
mod phones;
mod place;
mod placing;
mod playing;
mod presenting;
mod queueing;
mod quotas;
mod reaching;
mod record;
mod redirecting;
mod referred;
mod referring;
mod refusals;
mod registrars;
mod registrations;
mod replacing;
mod requests;
mod security;
mod sip;
mod sounding;
mod takeover;
mod transferring;
mod trunks;
mod turned_away;
mod voicemail;
mod web_phone;

pub use place::{Errand, Mission};
pub use placing::{Hop, Placing};
pub use playing::Coded;
pub(crate) use sip::leg_format;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::event::CarrierCallId;
use media::time::MonoTime;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::call::{Effect, Input};
use super::caller_ids::Uses;
use super::live::LiveCall;
use super::log::LogHandle;
use super::ports::Ports;
use super::request::{Handle, REQUESTS_MAX, Request};
use super::sounds::Sounds;
use binding::keepers;
use trunks::Trunks;

use crate::agent::dial::{DialError, Dialler};
use crate::capture::Registry;
use crate::carrier::Exchanges;
use crate::config::{Config, PublicUrl};
use crate::directory::Directory;
use crate::listen::tls::ClientTls;
use crate::outward::OutwardPolicy;
use crate::quota::Quota;
use crate::quota::credit::Credits;
use crate::recording::{Recorder, Store};
use crate::sip::core::endpoint::{Counters, DialogId, Endpoint, Transport};
use crate::sip::core::registrar::Registrar;
use crate::sip::core::targets::Avoided;
use crate::sip::endpoint::resolver::Resolver;
use crate::sip::endpoint::sockets::{Ready, Sockets};
use crate::sip::endpoint::udp::BATCH_MAX;
use crate::store::carrier_calls::HandedOver;
use crate::telemetry::Metrics;
use crate::workers::WorkerHandle;
use crate::workers::command::{AgentLine, CallKey, Event};
use crate::workers::poller::now;

/// Drives all calls of the process.
pub struct Control {
    config: Arc<Config>,
    directory: Directory,
    /// Tells that another snapshot of it holds.
    directory_changes: watch::Receiver<u64>,
    endpoint: Endpoint,
    sockets: Sockets,
    /// TLS towards each trunk that says something of it, by its id.
    trunk_tls: HashMap<Uuid, Arc<ClientTls>>,
    trunks: Trunks,
    /// Servers that failed a while ago.
    avoided: Avoided,
    /// Made when a name has to be looked up.
    resolver: Option<Resolver>,
    workers: Vec<WorkerHandle>,
    worker_events: mpsc::Receiver<Event>,
    requests: mpsc::Receiver<Request>,
    handle: Handle,
    /// Boxed, as the table grows by copying and is half empty.
    calls: HashMap<CallKey, Box<LiveCall>>,
    /// Telephones that registered with us.
    registrar: Registrar,
    /// Where we are registered.
    registrations: Vec<registrations::TrunkRegistration>,
    /// The contacts of these, for the gate.
    contacts: gate::Contacts,
    by_dialog: HashMap<DialogId, CallKey>,
    by_id: HashMap<Uuid, CallKey>,
    /// Calls at carriers, by configuration and the carrier's id.
    by_carrier: HashMap<(Uuid, CarrierCallId), CallKey>,
    /// What carriers tell by sockets of events.
    hearing: carrier::Hearing,
    /// What is remembered of calls at carriers that are none of ours any more.
    past: carrier::Past,
    /// Configurations that calls could not be placed by a moment ago.
    shunned: carrier::Shunned,
    /// Asks carriers.
    exchanges: Exchanges,
    /// Our address as carriers see it.
    public_url: Arc<PublicUrl>,
    /// The same as text.
    base_url: Arc<str>,
    /// Deadlines of calls; an entry that is no longer the call's is skipped.
    deadlines: std::collections::BTreeSet<(MonoTime, CallKey)>,
    next_key: u64,
    next_attempt: u64,
    ports: Ports,
    sounds: Sounds,
    quota: Quota,
    /// What calls hold of the money that organisations may spend.
    credits: Credits,
    /// How numbers were used that calls are placed from.
    uses: Uses,
    /// Where calls wait, and for whom.
    queueing: queueing::Queueing,
    /// How the media threads bear their calls.
    loads: load::Loads,
    recorder: Recorder,
    captures: Arc<Mutex<Registry>>,
    dialler: Dialler,
    /// How far what organisations have made reaches.
    policy: OutwardPolicy,
    /// How many refused calls are written down.
    refusals: refusals::Refusals,
    io: tokio::runtime::Handle,
    metrics: Arc<Metrics>,
    log: LogHandle,
    effects: Vec<Effect>,
    /// Facts that calls are told next.
    later: VecDeque<(CallKey, Input)>,
    /// What calls' agents speak on that was there already, told next.
    later_dialled: VecDeque<(CallKey, u64, Result<AgentLine, DialError>)>,
    /// Sockets that calls share.
    links: links::Links,
    /// This node, as agents are told.
    node: Uuid,
    draining: bool,
    live: watch::Sender<usize>,
    /// What of the SIP core's counts is in the metrics already.
    counted: Counters,
}

/// What the control is made of.
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// Agents, trunks, numbers and routes.
    pub directory: Directory,
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
    /// Takes what happens to calls.
    pub log: LogHandle,
    /// Asks carriers.
    pub exchanges: Exchanges,
    /// Our address as carriers see it.
    pub public_url: Arc<PublicUrl>,
    /// Which node this is.
    pub node: Uuid,
    /// Calls that carriers have of the server before.
    pub handed_over: Vec<HandedOver>,
}

/// Reaches a control that was built.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Takes requests.
    pub handle: Handle,
    /// Living calls.
    pub live: watch::Receiver<usize>,
    /// Where SIP listens.
    pub sip: Vec<(Transport, std::net::SocketAddr)>,
    /// The same, as peers are told.
    pub told: Vec<(Transport, std::net::SocketAddr)>,
    /// Recordings.
    pub recordings: Store,
    /// Messages that callers have left.
    pub voicemails: Store,
    /// Captures.
    pub captures: Arc<Mutex<Registry>>,
    /// What calls are routed by.
    pub directory: Directory,
}

impl Control {
    /// Binds the SIP sockets. Call it within the runtime that will run [`Control::run`].
    ///
    /// # Errors
    ///
    /// When an address cannot be bound; the message names it.
    #[expect(clippy::too_many_lines, reason = "most of it names the fields of the control")]
    pub fn bind(parts: Parts) -> std::io::Result<(Self, Reach)> {
        let Parts { config, directory, mut endpoint, workers, worker_events, .. } = parts;
        let (server_tls, trunk_tls) = certificates::of(&config, &directory)?;
        let links = links::Links::new(Arc::clone(&parts.metrics.links));
        let queueing = queueing::Queueing::new(&config, directory.load().organisation);
        let (places, origins) = (config.sip.places(), &config.sip.ws_origins);
        let sockets = Sockets::bind(&places, server_tls.as_ref(), origins)?;
        endpoint.set_locals(sockets.locals().to_vec());
        certificates::watch_files(server_tls, &trunk_tls);
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let (handle, (live, watch)) = (Handle(sender), watch::channel(0));
        let (recorder, [recordings, voicemails], captures) = keepers(&config, &handle, &parts.log)?;
        let reach = Reach {
            handle: handle.clone(),
            live: watch,
            sip: sockets.bound().to_vec(),
            told: sockets.locals().to_vec(),
            recordings,
            voicemails,
            captures: Arc::clone(&captures),
            directory: directory.clone(),
        };
        let (contacts, seen) = (gate::Contacts::default(), directory.clone());
        gate::guard(&mut endpoint, &config, seen, sockets.identities(), Arc::clone(&contacts))?;
        let mut control = Self {
            ports: Ports::new(config.rtp.ports),
            sounds: holding::sounds(&config),
            policy: OutwardPolicy::new(&config, directory.load().organisation),
            config,
            directory_changes: directory.watch(),
            directory,
            endpoint,
            sockets,
            trunk_tls,
            trunks: Trunks::default(),
            avoided: Avoided::default(),
            resolver: None,
            loads: load::Loads::new(workers.len()),
            workers,
            worker_events,
            requests,
            handle,
            calls: HashMap::new(),
            registrar: Registrar::default(),
            registrations: Vec::new(),
            contacts,
            by_dialog: HashMap::new(),
            by_id: HashMap::new(),
            by_carrier: HashMap::new(),
            hearing: carrier::Hearing::default(),
            past: carrier::Past::default(),
            shunned: carrier::Shunned::default(),
            exchanges: parts.exchanges,
            base_url: parts.public_url.to_string().into(),
            public_url: parts.public_url,
            deadlines: std::collections::BTreeSet::new(),
            next_key: 1,
            next_attempt: 1,
            quota: Quota::default(),
            credits: Credits::default(),
            uses: Uses::default(),
            queueing,
            recorder,
            captures,
            dialler: Dialler::new(),
            refusals: refusals::Refusals::default(),
            io: parts.io,
            metrics: parts.metrics,
            log: parts.log,
            effects: Vec::new(),
            later: VecDeque::new(),
            later_dialled: VecDeque::new(),
            links,
            node: parts.node,
            draining: false,
            live,
            counted: Counters::default(),
        };
        control.restore_elsewhere(parts.handed_over);
        control.update_trunks().map(|()| (control, reach))
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
            // Whoever is ready is taken in turn by chance, and each takes a bounded batch: a flood
            // of one holds up none of the others.
            tokio::select! {
                ready = self.sockets.ready() => match ready {
                    Ready::Datagrams(socket) => self.datagrams(socket),
                    Ready::Stream(event) => self.stream_event(event),
                },
                Some(event) = self.worker_events.recv() => self.worker_events(event),
                Some(request) = self.requests.recv() => {
                    let stop = matches!(request, Request::Stop);
                    self.request(request);
                    if stop {
                        self.turn();
                        self.last_messages().await;
                        if self.leaving_until(now()) <= now() {
                            break;
                        }
                        // What is left of the calls is not waited for, but the registrars are.
                        self.calls.clear();
                    }
                }
                Ok(()) = self.directory_changes.changed() => self.directory_changed(),
                () = tokio::time::sleep(deadline) => {}
            }
        }
        self.close_links();
    }

    /// Does what is due and what follows from what happened, until nothing does.
    fn turn(&mut self) {
        let at = now();
        if self.endpoint.deadline().is_some_and(|due| due <= at) {
            self.endpoint.handle_timeout(at);
        }
        self.look_at_load(at);
        self.watch_trunks(at);
        self.ask_elsewhere(at);
        if self.registrar.deadline().is_some_and(|due| due <= at) {
            self.registrar.expire(at);
            self.count_bindings();
        }
        if self.registrations_due() <= at {
            self.register(at);
        }
        // Each call once: one that is due again at once keeps nobody else waiting.
        for _ in 0..self.deadlines.len() {
            let Some((_, key)) = self.deadlines.first().copied().filter(|(due, _)| *due <= at)
            else {
                break;
            };
            self.deadlines.pop_first();
            self.due(key);
        }
        if self.queueing.machine.deadline() <= at {
            self.queueing.machine.handle_timeout(at);
        }
        loop {
            if let Some((key, input)) = self.later.pop_front() {
                self.tell(key, input);
            } else if let Some((key, attempt, line)) = self.later_dialled.pop_front() {
                self.dialled(key, attempt, line);
            } else if let Some(effect) = self.queueing.machine.poll() {
                self.queue_effect(effect);
            } else if let Some(event) = self.endpoint.poll_event() {
                self.sip_event(event);
            } else if let Some(transmit) = self.endpoint.poll_transmit() {
                // What cannot be sent is an event again.
                self.transmit(transmit);
            } else {
                break;
            }
        }
        self.count_drops();
        self.count_queues();
        self.live
            .send_if_modified(|live| std::mem::replace(live, self.calls.len()) != self.calls.len());
    }

    fn next_deadline(&self) -> MonoTime {
        let calls = self.deadlines.first().map_or(MonoTime::MAX, |(due, _)| *due);
        let sip = self.endpoint.deadline().unwrap_or(MonoTime::MAX);
        // An hour: the runtime's timer has an end, and waking up once an hour costs nothing.
        let phones = self.registrar.deadline().unwrap_or(MonoTime::MAX);
        let trunks = self.trunks.deadline().min(self.registrations_due()).min(self.loads.due());
        let trunks = trunks.min(self.queueing.machine.deadline());
        let hour = now() + Duration::from_secs(3_600);
        calls.min(sip).min(phones).min(trunks).min(self.past.elsewhere.deadline()).min(hour)
    }

    /// Takes what has arrived by UDP, a batch at a time.
    fn datagrams(&mut self, socket: usize) {
        for _ in 0..BATCH_MAX {
            let Some((flow, data)) = self.sockets.datagram(socket) else { return };
            counting::came(&self.metrics.sip, &data);
            self.capture_message(true, &flow, &data);
            self.endpoint.handle_datagram(now(), flow, data);
        }
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
        self.transfer_input(key, super::transfer::Input::Timeout);
        self.takeover_due(key);
        self.far_due(key);
        self.carrier_due(key);
        self.external_due(key);
        self.web_due(key);
        self.pbx_due(key);
        self.parking_due(key);
        self.tell_hold(key);
        self.credit_due(key);
        self.next_digit(key);
    }
}
