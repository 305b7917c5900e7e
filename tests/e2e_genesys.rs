//! A carrier whose socket is the offer, Genesys' AudioHook, against its emulator on real sockets
//! and against a client that makes mistakes: nothing tells of a call before, no API ends it.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::emulate::Command;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::api_carrier::expect;
use support::emulated::{
    Emulated, NUMBER, PERSON, SOON, agent_hears, dialled, find, in_use, noise, record, says, talk,
};
use support::ports::Ports;
use support::server::{Server, folder};
use support::store::Schema;
use support::tls::Authority;
use support::until;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocket;
use tokio_tungstenite::tungstenite::{Error, Message, client};

const NAME: &str = "genesys";
const KEY: &str = "emulated-api-key-0123456789";
const ORGANISATION: &str = "d7934305-0972-4844-938e-9060eef73d05";
const SESSION: &str = "30b0e395-84d3-4570-ac13-9a62d8f514c0";
const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// The configuration of a server whose agent is one of `agents`.
fn config(agents: &Agents) -> String {
    format!(
        "[limits]\nmax_lateness_ms = 0\n[[agents]]\nname = \"bot\"\nkind = \"websocket\"\n\
         url = \"{}\"\ngrace_ms = 0\nmax_calls = 1\n",
        agents.url()
    )
}

#[track_caller]
fn server() -> (Server, Agents) {
    let agents = Agents::listen();
    (Server::start_on(Ports::claim_part(), folder(), &config(&agents)), agents)
}

#[track_caller]
fn start(quirks: &[&str]) -> (Server, Agents, Emulated) {
    let (server, agents) = server();
    let emulated = Emulated::start(&server, NAME, "bot", quirks);
    (server, agents, emulated)
}

/// The agent of a call, once that is answered: it is so before the agent is there, or soon.
#[track_caller]
fn answered(mut agent: Agent) -> Agent {
    if agent.start["state"] != "answered" {
        agent.event("answered");
    }
    agent
}

/// The person calls, and talks with the agent.
#[track_caller]
fn called(agents: &Agents, carrier: &mut Emulated) -> (String, Agent) {
    let (call, agent) = dialled(agents, carrier);
    carrier.streams(&call);
    (call, answered(agent))
}

fn calls(server: &Server) -> Vec<Value> {
    let calls = expect(server, 200, "GET", "/api/v1/calls", None);
    calls["items"].as_array().unwrap().clone()
}

fn call_id(agent: &Agent) -> &str {
    agent.start["call_id"].as_str().unwrap()
}

/// The connection is tried, which is no call. Then a person calls: the agent is told who and what
/// the flow hands over, both hear every byte of each other in messages that Genesys bears, keys
/// reach the agent, marks come, the person hangs up; and there is room for the next call.
#[test]
fn a_person_calls() {
    let (server, agents, mut emulated) = start(&[]);
    for round in 0..2 {
        let (call, mut agent) = called(&agents, &mut emulated);
        let start = agent.start.clone();
        assert_eq!(
            (&start["direction"], &start["provider"], &start["from"], &start["to"]),
            (&json!("inbound"), &json!(NAME), &json!(PERSON), &json!(NUMBER))
        );
        assert_eq!(start["headers"]["input_ticket"], "4711", "{start}");
        assert_eq!(start["headers"]["language"], "en-US", "{start}");
        talk(&mut emulated, &call, &mut agent, 7 + round);
        for digit in ['5', '#'] {
            emulated.does(Command::Press { call: call.clone(), digit });
            let told = agent.event("dtmf");
            assert_eq!((&told["digit"], &told["source"]), (&json!(digit), &json!("carrier")));
        }
        says(&mut agent, &noise(emulated.format.bytes(200), 99));
        agent.say(&json!({"event": "mark", "name": "end"}));
        let mark = agent.event("mark");
        assert_eq!((&mark["name"], &mark["status"]), (&json!("end"), &json!("played")));
        emulated.does(Command::Hangup(call.clone()));
        assert_eq!(emulated.ends(&call), "end");
        let stop = agent.event("stop");
        assert_eq!((&stop["cause"], &stop["by"]), (&json!("normal"), &json!("caller")));
        let record = record(&server, call_id(&agent));
        assert_eq!(
            (&record["status"], &record["cause"], &record["configuration_id"]),
            (&json!("completed"), &json!("normal"), &json!(emulated.id))
        );
    }
    assert_eq!(calls(&server).len(), 2, "to try the connection is no call");
    emulated.assert_content();
    server.stop();
}

/// The agent hangs up: what it said last is heard, then the flow goes on at Genesys, which closes.
#[test]
fn an_agent_hangs_up() {
    let (server, agents, mut emulated) = start(&[]);
    let (call, mut agent) = called(&agents, &mut emulated);
    talk(&mut emulated, &call, &mut agent, 3);
    let last = noise(emulated.format.bytes(300), 5);
    says(&mut agent, &last);
    agent.order("hangup");
    assert_eq!(emulated.ends(&call), "completed");
    emulated.hears(&call, &last);
    let record = record(&server, call_id(&agent));
    assert_eq!(
        (&record["status"], &record["cause"], &record["ended_by"]),
        (&json!("completed"), &json!("normal"), &json!("agent"))
    );
    emulated.assert_content();
    server.stop();
}

/// What the agent takes back is not heard any more, neither of what waited here nor of what waited
/// at Genesys; what follows is.
#[test]
fn an_agent_is_interrupted() {
    let (server, agents, mut emulated) = start(&[]);
    let (call, mut agent) = called(&agents, &mut emulated);
    let long = noise(emulated.format.bytes(5_000), 11);
    says(&mut agent, &long);
    until(SOON, "its beginning", || {
        (emulated.heard(&call).len() > emulated.format.bytes(500)).then_some(())
    });
    agent.order("clear");
    let cleared = agent.event("cleared");
    let next = noise(emulated.format.bytes(200), 13);
    says(&mut agent, &next);
    emulated.hears(&call, &next);
    let heard = emulated.heard(&call).to_vec();
    let at = find(&heard, &next).unwrap();
    let played = cleared["samples"].as_u64().unwrap() as usize;
    let buffered = emulated.format.bytes(emulated.spec.media[0].buffer_ms + 220);
    assert!(at <= played + buffered, "{at} bytes were heard, {played} played at the clear");
    assert!(heard.len() < long.len(), "all of it was heard");
    emulated.does(Command::Hangup(call.clone()));
    emulated.ends(&call);
    server.wait_idle();
    emulated.assert_content();
    server.stop();
}

/// A connection that is lost is not opened again: the call ends at once, as a failure of the
/// network.
#[test]
fn the_connection_is_lost() {
    for quirks in [&[][..], &["cut=600"]] {
        let (server, agents, mut emulated) = start(quirks);
        let (call, mut agent) = called(&agents, &mut emulated);
        if quirks.is_empty() {
            emulated.does(Command::Drop(call.clone()));
        }
        assert_eq!(emulated.ends(&call), "lost");
        let stop = agent.event("stop");
        assert_eq!(stop["cause"], "network_failure", "{stop}");
        let record = record(&server, call_id(&agent));
        assert_eq!(record["cause"], "network_failure", "{record}");
        server.stop();
    }
}

/// Who signs by another secret, or shows another key, gets no socket, and there is no call.
#[test]
fn strangers_are_refused() {
    let other = "b3RoZXIgc2VjcmV0IG9mIG1vcmUgdGhhbiAxNiBieXRlcw==";
    for otherwise in [json!({"client_secret": other}), json!({"api_key": "another-key-of-theirs"})]
    {
        let (server, _agents) = server();
        let mut emulated = Emulated::knowing(&server, NAME, ("bot", &[]), &otherwise);
        let shown = expect(&server, 200, "GET", &format!("{CONFIGS}/{}", emulated.id), None);
        in_use(&server, shown["inbound_url"].as_str().unwrap());
        let call = emulated.call();
        assert_eq!(emulated.ends(&call), "403");
        assert!(calls(&server).is_empty());
        server.stop();
    }
}

/// A number that leads nowhere, and a second call for an agent that takes one: neither session is
/// opened, and Genesys is told so.
#[test]
fn calls_that_nobody_takes() {
    let (server, agents, mut emulated) = start(&[]);
    let (call, _agent) = dialled(&agents, &mut emulated);
    emulated.streams(&call);
    let second = emulated.call();
    assert_eq!(emulated.ends(&second), "error the call is not taken");
    let (from, to) = (PERSON.to_owned(), "+15550199999".to_owned());
    emulated.does(Command::Call { from, to });
    let why = emulated.wait("the end of the other call", |told| match told {
        adapters::emulate::Told::Ended { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(why, "error the call is not taken");
    emulated.does(Command::Hangup(call.clone()));
    assert_eq!(emulated.ends(&call), "end");
    server.wait_idle();
    emulated.assert_content();
    server.stop();
}

/// No call is placed by it, and whoever wants one is told so.
#[test]
fn no_call_is_placed() {
    let (server, _agents, emulated) = start(&[]);
    let wanted = json!({"to": PERSON, "agent": "bot", "telephony_configuration_id": emulated.id});
    let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("places no calls"), "{body}");
    server.stop();
}

/// A client of a configuration without a client secret, which says what it is told to.
struct Client<S = TcpStream> {
    socket: WebSocket<S>,
    session: String,
    seq: u64,
    heard: u64,
}

impl Client {
    /// Opens a socket as `session`; the status if it is refused.
    fn open(url: &str, key: &str, session: &str) -> Result<Self, u16> {
        let (_, rest) = url.split_once("://").unwrap();
        let stream = TcpStream::connect(rest.split('/').next().unwrap()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self::open_on(stream, url, key, session)
    }
}

impl<S: Read + Write> Client<S> {
    /// The same on a connection that is there.
    fn open_on(stream: S, url: &str, key: &str, session: &str) -> Result<Self, u16> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in [
            ("audiohook-organization-id", ORGANISATION),
            ("audiohook-session-id", session),
            ("audiohook-correlation-id", SESSION),
            ("x-api-key", key),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket, session: session.to_owned(), seq: 0, heard: 0 }),
            Err(error) => match error {
                tokio_tungstenite::tungstenite::HandshakeError::Failure(Error::Http(answer)) => {
                    Err(answer.status().as_u16())
                }
                other => panic!("{other}"),
            },
        }
    }

    fn says(&mut self, kind: &str, parameters: &Value) {
        self.seq += 1;
        let message = json!({"version": "2", "id": self.session, "type": kind, "seq": self.seq,
            "serverseq": self.heard, "position": "PT0S", "parameters": parameters});
        self.socket.send(Message::text(message.to_string())).unwrap();
    }

    fn offers(&mut self, conversation: &str, to: &str) {
        self.offers_with(conversation, to, "");
    }

    /// The same with something that nobody asks for.
    fn offers_with(&mut self, conversation: &str, to: &str, more: &str) {
        self.says(
            "open",
            &json!({
                "organizationId": ORGANISATION,
                "conversationId": conversation,
                "participant": {"id": SESSION, "ani": PERSON, "aniName": "", "dnis": to},
                "media": [
                    {"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}
                ],
                "more": more,
            }),
        );
    }

    /// The next text; what is played is passed over.
    #[track_caller]
    fn hears(&mut self, kind: &str) -> Value {
        let said = self.hears_any();
        assert_eq!(said["type"], kind, "{said}");
        said
    }

    /// The same, whatever it says.
    #[track_caller]
    fn hears_any(&mut self) -> Value {
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let said: Value = serde_json::from_str(&text).unwrap();
            self.heard += 1;
            assert_eq!(said["seq"], self.heard, "{said}");
            return said;
        }
    }

    /// Closes the session and the socket, in order.
    #[track_caller]
    fn leaves(mut self, reason: &str) {
        self.says("close", &json!({"reason": reason}));
        self.hears("closed");
        self.socket.close(None).unwrap();
        loop {
            match self.socket.read() {
                Ok(_) => {}
                Err(Error::ConnectionClosed) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A configuration without a client secret, a number of it, and where Genesys connects.
#[track_caller]
fn unsigned(server: &Server) -> String {
    let config = json!({"provider": NAME, "organization_id": ORGANISATION, "api_key": KEY});
    let made = expect(server, 201, "POST", CONFIGS, Some(json!({"name": "g", "config": config})));
    let path = format!("{CONFIGS}/{}", made["id"].as_str().unwrap());
    let agents = expect(server, 200, "GET", "/api/v1/agents", None);
    let bot = agents["items"].as_array().unwrap().iter().find(|it| it["name"] == "bot").unwrap();
    let number = json!({"address": NUMBER, "inbound_agent_id": bot["id"]});
    expect(server, 201, "POST", &format!("{path}/phone-numbers"), Some(number));
    let shown = expect(server, 200, "GET", &path, None);
    let url = shown["inbound_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("ws"), "{url}");
    in_use(server, &url);
    url
}

/// A client that makes a mistake in the midst of a call is told so, and the call ends; one that
/// makes it with its first message never has a call. A session is one call, ever.
#[test]
fn mistakes_end_the_session() {
    let (server, agents) = server();
    let url = unsigned(&server);
    assert_eq!(Client::open(&url, "another-key-of-theirs", SESSION).err(), Some(403));
    assert_eq!(Client::open(&url, KEY, "no-session").err(), Some(403));
    let nobody = "00000000-0000-0000-0000-000000000000";
    let conversation = "090eaa2f-72fa-480a-83e0-8667ff89c0ec";
    let mut probe = Client::open(&url, KEY, SESSION).unwrap();
    probe.offers(nobody, "");
    probe.hears("opened");
    probe.says("ping", &json!({}));
    assert_eq!(probe.hears("pong")["clientseq"], 2);
    probe.leaves("end");
    let first_words: [fn(&mut Client); 3] = [
        |client| client.says("ping", &json!({})),
        |client| {
            client.seq = 4;
            client.offers(SESSION, NUMBER);
        },
        |client| client.socket.send(Message::binary(vec![0xff; 160])).unwrap(),
    ];
    for says in first_words {
        let mut wrong = Client::open(&url, KEY, SESSION).unwrap();
        says(&mut wrong);
        let said = wrong.hears("disconnect");
        assert_eq!(said["parameters"]["reason"], "error", "{said}");
        assert!(calls(&server).is_empty());
    }
    let mut call = Client::open(&url, KEY, SESSION).unwrap();
    call.offers(conversation, NUMBER);
    call.hears("opened");
    let agent = agents.accept();
    call.leaves("end");
    let record = record(&server, call_id(&agent));
    assert_eq!((&record["status"], &record["cause"]), (&json!("completed"), &json!("normal")));
    let mut again = Client::open(&url, KEY, SESSION).unwrap();
    again.offers(conversation, NUMBER);
    let said = again.hears("disconnect");
    assert_eq!(said["parameters"]["reason"], "error", "{said}");
    again.leaves("disconnect");
    assert_eq!(calls(&server).len(), 1, "a session is one call");
    server.stop();
}

/// Of two servers that share a database and are offered a session at the same moment one takes it;
/// the other refuses it, as if it had been taken before.
#[test]
fn one_of_two_servers_takes_a_session() {
    let Some(schema) = Schema::make() else {
        eprintln!("skipped: two servers share a PostgreSQL, and there is none");
        return;
    };
    let (agents, seal) = (Agents::listen(), format!("k1:{}=", "A".repeat(43)));
    let environment =
        [("TALKPATH_DATABASE_URL", schema.url.as_str()), ("TALKPATH_SEAL_KEYS", seal.as_str())];
    let config = config(&agents).replace("max_calls = 1\n", "");
    let start = || Server::start_with(Ports::claim_part(), folder(), &config, &environment);
    let (first, mut second) = (start(), start());
    second.key.clone_from(&first.key);
    let url = unsigned(&first);
    let other = url.replace(&first.http.to_string(), &second.http.to_string());
    in_use(&second, &other);
    let mut sessions = (0..).map(|number: u64| format!("{}{number:012}", &SESSION[..24]));
    // What the number is for is known there a little later.
    until(SOON, "the second server takes calls", || {
        let mut client = Client::open(&other, KEY, &sessions.next().unwrap()).unwrap();
        client.offers(SESSION, NUMBER);
        let opened = client.hears_any()["type"] == "opened";
        let agent = opened.then(|| agents.accept());
        client.leaves(if opened { "end" } else { "disconnect" });
        agent.map(|agent| record(&second, call_id(&agent)))
    });
    for round in 0..5 {
        let session = sessions.next().unwrap();
        let open = |url: &String| Client::open(url, KEY, &session).unwrap();
        let mut clients = [&url, &other].map(open);
        for client in &mut clients {
            client.offers(SESSION, NUMBER);
        }
        let heard = clients.into_iter().map(|mut client| (client.hears_any(), client));
        let (mut taken, mut refused): (Vec<_>, Vec<_>) =
            heard.partition(|(said, _)| said["type"] == "opened");
        assert_eq!((taken.len(), refused.len()), (1, 1), "of round {round}");
        let (said, client) = refused.pop().unwrap();
        assert_eq!(said["type"], "disconnect", "{said}");
        client.leaves("disconnect");
        let (_, client) = taken.pop().unwrap();
        let agent = agents.accept();
        client.leaves("end");
        record(&first, call_id(&agent));
        [&first, &second].into_iter().for_each(Server::wait_idle);
    }
    assert_eq!(calls(&first).len(), 6);
    first.stop();
    second.stop();
}

/// Over TLS, as Genesys connects: the call gets the connection as it was, and what comes in many
/// records at once is heard, every byte.
#[test]
fn over_tls() {
    let (authority, agents, dir) = (Authority::new(), Agents::listen(), folder());
    authority.write_identity(&dir, "own", "localhost");
    let config = format!(
        "[limits]\nmax_lateness_ms = 0\n[http]\ntls_listen = \"127.0.0.1:0\"\n\
         tls_certificate = \"own.pem\"\ntls_key = \"own.key\"\n[[agents]]\nname = \"bot\"\n\
         kind = \"websocket\"\nurl = \"{}\"\n",
        agents.url()
    );
    let server = Server::start_in(dir, &config);
    let url = unsigned(&server);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority.write(&server.dir)).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let secured = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let tcp = TcpStream::connect(server.https.expect("HTTPS is announced")).unwrap();
    tcp.set_read_timeout(Some(SOON)).unwrap();
    let connection = ClientConnection::new(Arc::new(secured), name).unwrap();
    let stream = StreamOwned::new(connection, tcp);
    let mut caller = Client::open_on(stream, &url, KEY, SESSION).unwrap();
    caller.offers("090eaa2f-72fa-480a-83e0-8667ff89c0ec", NUMBER);
    caller.hears("opened");
    let mut agent = answered(agents.accept());
    let said = noise(16_000, 17);
    for part in said.chunks(160) {
        caller.socket.write(Message::binary(part.to_vec())).unwrap();
    }
    caller.socket.flush().unwrap();
    agent_hears(&mut agent, &said);
    caller.leaves("end");
    let record = record(&server, call_id(&agent));
    assert_eq!(record["cause"], "normal", "{record}");
    server.stop();
}

/// An offer may be as long as a message at most, and come in many pieces: the call has it whole,
/// and what follows too. One that is longer is none.
#[test]
fn a_long_offer() {
    let (server, agents) = server();
    let url = unsigned(&server);
    let conversation = "090eaa2f-72fa-480a-83e0-8667ff89c0ec";
    let mut caller = Client::open(&url, KEY, SESSION).unwrap();
    caller.offers_with(conversation, NUMBER, &"x".repeat(64_000));
    caller.hears("opened");
    let mut agent = answered(agents.accept());
    let said = noise(1_600, 18);
    for part in said.chunks(160) {
        caller.socket.send(Message::binary(part.to_vec())).unwrap();
    }
    agent_hears(&mut agent, &said);
    caller.leaves("end");
    assert_eq!(record(&server, call_id(&agent))["cause"], "normal");
    let mut longer = Client::open(&url, KEY, SESSION).unwrap();
    // The server may have closed before all of it was written.
    let text = Message::text("x".repeat(70_000));
    assert!(longer.socket.send(text).is_err() || longer.socket.read().is_err());
    assert_eq!(calls(&server).len(), 1);
    server.stop();
}

/// A mistake while two talk ends the call as one that failed; Genesys closes, or we do after a
/// while.
#[test]
fn a_mistake_ends_a_call() {
    let (server, agents) = server();
    let url = unsigned(&server);
    let conversation = "090eaa2f-72fa-480a-83e0-8667ff89c0ec";
    let mut caller = Client::open(&url, KEY, SESSION).unwrap();
    caller.offers(conversation, NUMBER);
    caller.hears("opened");
    let mut agent = answered(agents.accept());
    caller.seq += 1;
    caller.says("ping", &json!({}));
    let said = caller.hears("disconnect");
    assert_eq!(said["parameters"]["reason"], "error", "{said}");
    let stop = agent.event("stop");
    assert_eq!(stop["cause"], "network_failure", "{stop}");
    let record = record(&server, call_id(&agent));
    assert_eq!(record["cause"], "network_failure", "{record}");
    // It does not close.
    let began = Instant::now();
    let closed = loop {
        match caller.socket.read() {
            Ok(Message::Close(frame)) => break frame.map(|frame| u16::from(frame.code)),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(closed, Some(1000));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    server.stop();
}
