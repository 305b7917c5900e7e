//! A carrier in miniature that telephones through the server under test: its API, its signed
//! webhooks and its media sockets on real sockets, played by hand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use adapters::config::RawConfig;
use adapters::emulate::{Command, EmulatorStart, Quirks, Told};
use adapters::spec::ProviderSpec;
use adapters::table;
use media::codec::AudioFormat;
use serde_json::{Value, json};
use talkpath::emulate::{self, Event, Running};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::agent::{Agent, Agents};
use super::api_carrier::expect;
use super::ports::Ports;
use super::server::{self, Server};
use super::{until, until_told};

/// Number of the account, and of the person.
pub const NUMBER: &str = "+15550100001";
pub const PERSON: &str = "+15550100002";
/// How long something may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// How keys get to the person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keys {
    /// As messages of the stream.
    Stream,
    /// As tones.
    Tones,
    /// By requests to the carrier's API.
    Requests,
}

/// A carrier, and where it differs from others.
#[derive(Debug)]
pub struct Carrier {
    pub name: &'static str,
    pub keys: Keys,
    /// Its word for the end of a call that was answered and then hung up.
    pub over: &'static str,
    /// Bytes of a frame that it does not usually send.
    pub odd_bytes: usize,
    /// Its word for a machine that answers; none if it does not tell.
    pub machine: &'static str,
    /// Why a call failed that a person declined, as far as the carrier tells it from being busy.
    pub declined: &'static str,
}

/// Every carrier that has an emulator.
pub const CARRIERS: &[Carrier] = &[
    Carrier {
        name: "cloudonix",
        keys: Keys::Tones,
        over: "answer",
        odd_bytes: 80,
        machine: "machine_start",
        declined: "busy",
    },
    Carrier {
        name: "exotel",
        keys: Keys::Tones,
        over: "completed",
        odd_bytes: 1_000,
        machine: "",
        declined: "busy",
    },
    Carrier {
        name: "plivo",
        keys: Keys::Stream,
        over: "Normal Hangup",
        odd_bytes: 80,
        machine: "true",
        declined: "rejected",
    },
    Carrier {
        name: "telnyx",
        keys: Keys::Requests,
        over: "normal_clearing",
        odd_bytes: 80,
        machine: "machine",
        declined: "rejected",
    },
    Carrier {
        name: "twilio",
        keys: Keys::Tones,
        over: "completed",
        odd_bytes: 80,
        machine: "machine_start",
        declined: "rejected",
    },
    Carrier {
        name: "vobiz",
        keys: Keys::Requests,
        over: "Normal Hangup",
        odd_bytes: 80,
        machine: "true",
        declined: "rejected",
    },
    Carrier {
        name: "vonage",
        keys: Keys::Requests,
        over: "completed",
        odd_bytes: 1_280,
        machine: "machine",
        declined: "rejected",
    },
];

/// Carriers that a test of live calls runs with at the same time.
const LANES: usize = 3;

/// Runs a test with every carrier, a few at a time.
pub fn each(test: impl Fn(&Carrier) + Sync) {
    each_that(|_| true, test);
}

/// Runs a test with every carrier that can do something.
pub fn each_that(can: fn(&ProviderSpec) -> bool, test: impl Fn(&Carrier) + Sync) {
    let able = |carrier: &&Carrier| table::find(carrier.name).is_some_and(can);
    let left = Mutex::new(CARRIERS.iter().filter(able));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    side_by_side(&["lane"; LANES], |_| {
        while let Some(carrier) = next() {
            eprintln!("{} begins", carrier.name);
            test(carrier);
            eprintln!("{} ends", carrier.name);
        }
    });
}

/// Runs a test that mostly waits with every carrier and each of `cases` at once.
pub fn at_once(cases: &[&str], test: impl Fn(&Carrier, &str) + Sync) {
    let all = CARRIERS.iter().flat_map(|carrier| cases.iter().map(move |case| (carrier, *case)));
    let names: Vec<_> = all.clone().map(|(it, case)| format!("{} {case}", it.name)).collect();
    let all: Vec<_> = all.collect();
    side_by_side(&names, |index| {
        let (carrier, case) = all[index];
        test(carrier, case);
    });
}

/// Runs `body` on a thread for each name, which is told the place of its name.
fn side_by_side(names: &[impl AsRef<str>], body: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for (index, name) in names.iter().enumerate() {
            let body = &body;
            std::thread::Builder::new()
                .name(name.as_ref().to_owned())
                .spawn_scoped(scope, move || body(index))
                .unwrap();
        }
    });
}

/// Servers start one after the other, so that each is there in time even on a busy machine.
static STARTING: Mutex<()> = Mutex::new(());

/// A server with these agents and a carrier; the number's calls go to the agent of that name.
#[track_caller]
pub fn set_up(agents: &str, agent: &str, carrier: &str, quirks: &[&str]) -> (Server, Emulated) {
    let _turn = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    // A machine that is busy with other tests is late now and then, and takes calls all the same.
    let config = format!("[limits]\nmax_lateness_ms = 0\n{agents}");
    let server = Server::start_on(Ports::claim_part(), server::folder(), &config);
    let emulated = Emulated::start(&server, carrier, agent, quirks);
    (server, emulated)
}

/// A server with an agent called `bot` that takes one call at a time, and a carrier.
#[track_caller]
pub fn start(carrier: &Carrier, quirks: &[&str]) -> (Server, Agents, Emulated) {
    let agents = Agents::listen();
    let url = agents.url();
    let config = format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\nmax_calls = 1\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n"
    );
    let (server, emulated) = set_up(&config, "bot", carrier.name, quirks);
    (server, agents, emulated)
}

/// The person calls, and the agent is dialled. What was made over HTTP is in use a moment later:
/// until then the call is refused, and the person calls again.
#[track_caller]
pub fn dialled(agents: &Agents, carrier: &mut Emulated) -> (String, Agent) {
    let mut call = carrier.call();
    until(SOON, "the agent to be dialled", || {
        if carrier.is_over(&call) {
            call = carrier.call();
        }
        agents.try_accept().map(|agent| (call.clone(), agent))
    })
}

/// The person calls, and talks with the agent.
#[track_caller]
pub fn called(agents: &Agents, carrier: &mut Emulated) -> (String, Agent) {
    let (call, mut agent) = dialled(agents, carrier);
    carrier.streams(&call);
    agent.event("answered");
    (call, agent)
}

/// The agent says this.
#[track_caller]
pub fn says(agent: &mut Agent, audio: &[u8]) {
    let pt = agent.start["out"]["pt"].as_u64().unwrap();
    // Messages have a limit.
    for part in audio.chunks(32_000) {
        agent.play(u8::try_from(pt).unwrap(), part);
    }
}

/// Takes all that the agent was sent by now; true if this is part of it, every byte.
#[track_caller]
fn is_heard(agent: &mut Agent, audio: &[u8]) -> bool {
    loop {
        let before = (agent.frames.len(), agent.said.len());
        agent.look();
        if (agent.frames.len(), agent.said.len()) == before {
            break;
        }
    }
    let heard: Vec<u8> = agent.frames.iter().flat_map(|it| it.payload.clone()).collect();
    find(&heard, audio).is_some()
}

/// Waits until the agent has heard this, every byte of it.
#[track_caller]
pub fn agent_hears(agent: &mut Agent, audio: &[u8]) {
    until(SOON, "what the agent must hear", || is_heard(agent, audio).then_some(()));
}

/// Both hear each other, every byte.
#[track_caller]
pub fn talk(carrier: &mut Emulated, call: &str, agent: &mut Agent, seed: u32) {
    let second = carrier.format.bytes(1000);
    let (said, answered) = (noise(second, seed), noise(second, seed + 1_000));
    carrier.speaks(call, &said);
    says(agent, &answered);
    let mut heard = (false, false);
    until(SOON, "what both must hear", || {
        heard.0 |= is_heard(agent, &said);
        heard.1 |= find(carrier.heard(call), &answered).is_some();
        (heard == (true, true)).then_some(())
    });
}

/// A carrier that runs, and its configuration at the server.
pub struct Emulated {
    pub spec: &'static ProviderSpec,
    pub format: AudioFormat,
    /// The configuration, as both have it.
    pub config: RawConfig,
    /// The configuration's id at the server.
    pub id: String,
    /// The id of its number.
    pub number: String,
    runtime: Runtime,
    running: Running,
    told: VecDeque<Told>,
    heard: BTreeMap<String, Vec<u8>>,
    /// Requests of the server, as `METHOD /path`, and what they were answered.
    pub asked: Vec<(String, Option<u16>)>,
    /// Webhooks, and what the server answered.
    pub hooked: Vec<(String, Option<u16>)>,
    pub complaints: Vec<String>,
    hook: Option<String>,
}

impl Carrier {
    fn spec(&self) -> &'static ProviderSpec {
        table::find(self.name).unwrap()
    }

    /// False if calls end at the carrier because their media sockets are closed, or lost: there is
    /// no request for that, and no other socket is opened.
    pub fn hangs_up(&self) -> bool {
        self.spec().calls.hangup.is_some()
    }
}

impl Emulated {
    /// Runs `provider`'s emulator, and gives the server a configuration of its account with a
    /// number whose calls `agent` takes.
    #[track_caller]
    pub fn start(server: &Server, provider: &str, agent: &str, quirks: &[&str]) -> Self {
        let mut carrier = Self::unbound(server, provider, agent, quirks);
        match &carrier.hook {
            // Nothing is asked of it: it was told where calls are offered, as by hand.
            Some(hook) if carrier.spec.calls.bind.is_none() => in_use(server, hook),
            _ => carrier.bind(server),
        }
        carrier
    }

    /// The same without anything that is asked of the carrier yet.
    #[track_caller]
    pub fn unbound(server: &Server, provider: &str, agent: &str, quirks: &[&str]) -> Self {
        Self::knowing(server, provider, (agent, quirks), &json!({}))
    }

    /// The same where the carrier knows other values of some fields than the server does.
    #[track_caller]
    pub fn knowing(
        server: &Server,
        provider: &str,
        (agent, quirks): (&str, &[&str]),
        otherwise: &Value,
    ) -> Self {
        let spec = table::find(provider).unwrap();
        let emulator = spec.emulator.unwrap();
        let mut set = Quirks::default();
        quirks.iter().for_each(|quirk| set.set(quirk).unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let mut fields = (emulator.config)(&api);
        let mut known = fields.clone();
        for (name, value) in otherwise.as_object().unwrap() {
            known[name] = value.clone();
        }
        let config = spec.read(&known, None).unwrap();
        fields["provider"] = json!(provider);
        let wanted = json!({"name": provider, "config": fields});
        let made = expect(server, 201, "POST", CONFIGS, Some(wanted));
        let id = made["id"].as_str().unwrap().to_owned();
        // An account that is not set up by requests is told the address by people.
        let hook = spec.calls.provision.is_none().then(|| {
            let whole = expect(server, 200, "GET", &format!("{CONFIGS}/{id}"), None);
            whole["inbound_url"].as_str().unwrap().to_owned()
        });
        let start = EmulatorStart {
            config: config.clone(),
            numbers: vec![NUMBER.to_owned()],
            voice_url: hook.clone(),
            seed: 1,
            quirks: set,
        };
        let running = {
            let _inside = runtime.enter();
            emulate::start((emulator.open)(start), listener)
        };
        let agents = expect(server, 200, "GET", "/api/v1/agents", None);
        let mut agents = agents["items"].as_array().unwrap().iter();
        let agent = agents.find(|it| it["name"] == agent).unwrap();
        let wanted = json!({"address": NUMBER, "inbound_agent_id": agent["id"]});
        let path = format!("{CONFIGS}/{id}/phone-numbers");
        let number = expect(server, 201, "POST", &path, Some(wanted));
        Self {
            spec,
            format: emulator.audio,
            config,
            id,
            number: number["id"].as_str().unwrap().to_owned(),
            runtime,
            running,
            told: VecDeque::new(),
            heard: BTreeMap::new(),
            asked: Vec::new(),
            hooked: Vec::new(),
            complaints: Vec::new(),
            hook,
        }
    }

    /// Sets the account up, points its number at the server, and waits until that takes webhooks.
    #[track_caller]
    pub fn bind(&mut self, server: &Server) {
        let (provisioned, bound) = (self.provision(server), self.point(server));
        assert!(matches!(provisioned.0, 200 | 501), "{}", provisioned.1);
        assert_eq!(bound.0, 204, "{}", bound.1);
        self.look();
        in_use(server, &self.hook.clone().expect("the carrier was told no address"));
    }

    #[track_caller]
    pub fn provision(&self, server: &Server) -> (u16, String) {
        server.http("POST", &format!("{CONFIGS}/{}/provision", self.id), None)
    }

    #[track_caller]
    pub fn point(&self, server: &Server) -> (u16, String) {
        let (id, number) = (&self.id, &self.number);
        server.http("POST", &format!("{CONFIGS}/{id}/phone-numbers/{number}/bind"), None)
    }

    /// Has the server call the person; the server's id of the call. What was made over HTTP is in
    /// use a moment later.
    #[track_caller]
    pub fn place(&self, server: &Server, agent: &str, ring_s: u32) -> String {
        self.place_as(server, &json!({"agent": agent, "ring_timeout_s": ring_s}))
    }

    /// The same with what else is wanted of it.
    #[track_caller]
    pub fn place_as(&self, server: &Server, wanted: &Value) -> String {
        let mut wanted = wanted.clone();
        (wanted["to"], wanted["telephony_configuration_id"]) = (json!(PERSON), json!(self.id));
        until(SOON, "a placed call", || {
            let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
            let body: Value = serde_json::from_str(&body).unwrap();
            (status == 201).then(|| body["id"].as_str().unwrap().to_owned())
        })
    }

    /// A person does something.
    pub fn does(&self, command: Command) {
        self.runtime.block_on(self.running.commands.send(command)).unwrap();
    }

    /// The person calls; the carrier's id of the call.
    #[track_caller]
    pub fn call(&mut self) -> String {
        let (from, to) = (PERSON.to_owned(), NUMBER.to_owned());
        self.does(Command::Call { from, to });
        self.wait("the offer", |told| match told {
            Told::Offered { call } => Some(call.clone()),
            _ => None,
        })
    }

    /// The person's telephone rings; the carrier's id of the call.
    #[track_caller]
    pub fn rings(&mut self) -> String {
        self.wait("a telephone that rings", |told| match told {
            Told::Rings { call, .. } => Some(call.clone()),
            _ => None,
        })
    }

    /// Waits until the audio of a call flows.
    #[track_caller]
    pub fn streams(&mut self, call: &str) {
        self.wait("the audio", |told| match told {
            Told::Streaming { call: of } => (of == call).then_some(()),
            _ => None,
        });
    }

    /// Waits until a call is over; the carrier's word for why.
    #[track_caller]
    pub fn ends(&mut self, call: &str) -> String {
        self.wait("the end of the call", |told| match told {
            Told::Ended { call: of, why } => (of == call).then(|| why.clone()),
            _ => None,
        })
    }

    /// True if a call is over by now. What else persons were told is kept.
    pub fn is_over(&mut self, call: &str) -> bool {
        self.look();
        self.told.iter().any(|told| matches!(told, Told::Ended { call: of, .. } if of == call))
    }

    /// Waits until the person hears these keys.
    #[track_caller]
    pub fn hears_keys(&mut self, wanted: &str) {
        let mut heard = String::new();
        self.wait(&format!("the keys {wanted}"), |told| match told {
            Told::Keys { digits, .. } => {
                heard.push_str(digits);
                (heard == wanted).then_some(())
            }
            _ => None,
        });
    }

    /// Waits for something that persons are told; what comes before it is forgotten.
    #[track_caller]
    pub fn wait<T>(&mut self, what: &str, mut fits: impl FnMut(&Told) -> Option<T>) -> T {
        until(SOON, what, || {
            self.look();
            while let Some(told) = self.told.pop_front() {
                if let Some(found) = fits(&told) {
                    return Some(found);
                }
            }
            None
        })
    }

    /// Takes what has happened.
    pub fn look(&mut self) {
        while let Ok(event) = self.running.events.try_recv() {
            match event {
                Event::Told(Told::Heard { call, audio }) => {
                    self.heard.entry(call).or_default().extend(audio);
                }
                Event::Told(Told::Complaint { what, .. }) => self.complaints.push(what),
                Event::Told(told) => self.told.push_back(told),
                Event::Asked { request, status } => {
                    let found = emulate::hook_in(&request, self.spec.name);
                    self.hook = self.hook.take().or(found);
                    let line = format!("{} {}", request.method, request.url);
                    self.asked.push((line, status.map(|status| status.as_u16())));
                }
                Event::Hooked { request, status } => {
                    let line = format!("{} {}", request.method, request.url);
                    self.hooked.push((line, status.map(|status| status.as_u16())));
                }
            }
        }
    }

    /// What the person on a call has heard.
    pub fn heard(&mut self, call: &str) -> &[u8] {
        self.look();
        self.heard.get(call).map_or(&[], Vec::as_slice)
    }

    /// The person says this.
    pub fn speaks(&self, call: &str, audio: &[u8]) {
        let (call, audio) = (call.to_owned(), audio.to_vec());
        self.does(Command::Speak { call, audio });
    }

    /// Waits until the person has heard this, every byte of it.
    #[track_caller]
    pub fn hears(&mut self, call: &str, audio: &[u8]) {
        until(SOON, "what the person must hear", || find(self.heard(call), audio).map(drop));
    }

    /// Fails if the server did anything that a carrier complains about.
    #[track_caller]
    pub fn assert_content(&mut self) {
        self.look();
        assert!(self.complaints.is_empty(), "{:?}", self.complaints);
    }

    /// How often the server asked for what has `part` in its method and path.
    pub fn asked_for(&mut self, part: &str) -> usize {
        self.look();
        self.asked.iter().filter(|(line, _)| line.contains(part)).count()
    }
}

/// Waits until the server takes requests at this address of a hook.
#[track_caller]
pub fn in_use(server: &Server, hook: &str) {
    let (_, rest) = hook.split_once("://").unwrap();
    let path = &rest[rest.find('/').unwrap()..];
    until(SOON, "the configuration in use", || {
        (server.http("POST", path, None).0 != 404).then_some(())
    });
}

/// Where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// Bytes that look random, and in which no codec's silence occurs.
pub fn noise(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state % 126) as u8 + 1
    };
    (0..count).map(|_| next()).collect()
}

/// The record of a call once it is over, and nothing of it is left.
#[track_caller]
pub fn record(server: &Server, id: &str) -> Value {
    let record = until_told(SOON, "the end in the record", || {
        // What has just begun may not be in the log of another server yet.
        let (status, text) = server.http("GET", &format!("/api/v1/calls/{id}"), None);
        let record = (status != 404).then(|| serde_json::from_str::<Value>(&text).unwrap())?;
        (record["state"] == "ended").then_some(record)
    });
    server.wait_idle();
    record
}

/// The only call that there ever was, once it is over.
#[track_caller]
pub fn only_record(server: &Server) -> Value {
    let id = until_told(SOON, "a call", || {
        let calls = expect(server, 200, "GET", "/api/v1/calls", None);
        let calls = calls["items"].as_array().unwrap().clone();
        assert!(calls.len() < 2, "{calls:?}");
        Some(calls.first()?["id"].as_str().unwrap().to_owned())
    });
    record(server, &id)
}
