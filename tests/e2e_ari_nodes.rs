//! Two servers that share a PostgreSQL, and an Asterisk that opens its socket of events to one of
//! them: one drives it at a time, and the other takes over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::agent::Agents;
use support::api_carrier::{SOON, expect};
use support::ari_pbx::{AriPbx, BASIC};
use support::ports::Ports;
use support::server::{Server, folder};
use support::store::Schema;
use support::until;

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";
/// How long a server that died may keep another from taking over: its lease has to expire, and
/// Asterisk to call again.
const TAKEN_OVER: Duration = Duration::from_secs(40);
/// How long a lease is held. A server that cannot renew it is to have let go by then.
const HELD: Duration = Duration::from_secs(15);

/// Servers that share tables, and the agent of their calls.
struct Stage {
    servers: [Server; 2],
    agents: Agents,
    /// Where Asterisk opens its socket at each of them, and the application.
    urls: [String; 2],
    app: String,
}

/// The address that the set-up of an Asterisk has for its socket of events.
fn socket_url(named: &Value) -> String {
    let files = named["setup_files"].to_string();
    files.split("uri = ").nth(1).unwrap().split("\\n").next().unwrap().to_owned()
}

#[track_caller]
fn stage(schema: &Schema) -> Stage {
    let agents = Agents::listen();
    let config = format!(
        "routes = []\n[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         format = {{ codec = \"PCMU\" }}\n",
        agents.url()
    );
    let seal = format!("k1:{}=", "A".repeat(43));
    let environment =
        [("TALKPATH_DATABASE_URL", schema.url.as_str()), ("TALKPATH_SEAL_KEYS", seal.as_str())];
    let start = || Server::start_with(Ports::claim(), folder(), &config, &environment);
    let (first, mut second) = (start(), start());
    second.key.clone_from(&first.key);
    let fields = json!({
        "provider": "ari", "ari_url": "http://127.0.0.1:9", "username": "pbx", "media": "rtp",
        "password": "secret", "endpoint": "PJSIP/{number}@trunk", "events": "outbound",
    });
    let wanted = json!({"name": "pbx", "config": fields});
    let made = expect(&first, 201, "POST", CONFIGS, Some(wanted));
    let path = format!("{CONFIGS}/{}", made["id"].as_str().unwrap());
    let all = expect(&first, 200, "GET", "/api/v1/agents", None);
    let bot = all["items"].as_array().unwrap().iter().find(|it| it["name"] == "bot").unwrap();
    let wanted = json!({"address": "700", "inbound_agent_id": bot["id"]});
    expect(&first, 201, "POST", &format!("{path}/phone-numbers"), Some(wanted));
    let named = expect(&first, 200, "POST", &format!("{path}/provision"), None);
    let app = named["credentials"]["app"].as_str().unwrap().to_owned();
    let url = socket_url(&named);
    let other = url.replace(&first.http.to_string(), &second.http.to_string());
    assert_ne!(url, other);
    Stage { servers: [first, second], agents, urls: [url, other], app }
}

impl Stage {
    /// Asterisk opens its socket as one that calls again and again, until it is listened to.
    #[track_caller]
    fn is_driven(&self, pbx: &AriPbx, node: usize, within: Duration) {
        let before = pbx.asked("eventFilter");
        until(within, "the socket is listened to", || {
            if !is_open(pbx) {
                let _ = pbx.dials(&self.urls[node], BASIC, &self.app);
            }
            (pbx.asked("eventFilter") > before).then_some(())
        });
    }

    /// A caller talks with the agent, by this server; nobody is left.
    #[track_caller]
    fn takes_calls(&self, pbx: &AriPbx, node: usize) {
        // What the number is for is known a little later.
        let (caller, mut agent) = until(SOON, "the agent is called", || {
            let caller = pbx.calls("700", "+15550100002");
            until(SOON, "something becomes of the call", || {
                let agent = self.agents.try_accept();
                (agent.is_some() || pbx.state_of(&caller).is_none()).then_some(agent)
            })
            .map(|agent| (caller, agent))
        });
        if agent.start["state"] != "answered" {
            agent.event("answered");
        }
        let calls = self.servers[node].calls();
        assert!(calls.iter().any(|call| call["id"] == agent.start["call_id"]), "{calls:?}");
        pbx.hangs_up(&caller);
        assert_eq!(agent.event("stop")["by"], "caller");
        self.servers[node].wait_idle();
        until(SOON, "nothing is left", || (pbx.living() == (0, 0)).then_some(()));
    }
}

/// Whether a socket of events is open: one that is closed is found out by saying something.
fn is_open(pbx: &AriPbx) -> bool {
    pbx.say("PeerStatusChange");
    pbx.sockets() > 0
}

/// One server has the socket: one that is opened to the other is closed, and nothing was asked over
/// it. When the one is killed, the other takes over once the lease has expired. One that cannot
/// renew its lease, because the database does not answer, lets go of the socket before the lease is
/// over, and takes it again afterwards.
#[test]
fn one_drives_and_the_other_takes_over() {
    let Some(schema) = Schema::make() else {
        eprintln!("skipped: two servers share a PostgreSQL, and there is none");
        return;
    };
    let mut stage = stage(&schema);
    let (pbx, other) = (AriPbx::start(), AriPbx::start());
    stage.is_driven(&pbx, 0, SOON);
    stage.takes_calls(&pbx, 0);
    until(SOON, "the other server knows the configuration", || {
        other.dials(&stage.urls[1], BASIC, &stage.app).ok()
    });
    until(SOON, "it does not listen", || (!is_open(&other)).then_some(()));
    assert_eq!(other.asked(""), 0, "nothing is asked by who must not");
    assert!(is_open(&pbx), "the first goes on");
    stage.takes_calls(&pbx, 0);

    stage.servers[0].kill();
    stage.is_driven(&other, 1, TAKEN_OVER);
    stage.takes_calls(&other, 1);

    let locked = schema.lock("leases", "name LIKE 'events:%'");
    let began = Instant::now();
    until(TAKEN_OVER, "the socket is let go", || (!is_open(&other)).then_some(()));
    let took = began.elapsed();
    assert!(took < HELD, "let go after {took:?}, when another may have it");
    drop(locked);
    stage.is_driven(&other, 1, TAKEN_OVER);
    stage.takes_calls(&other, 1);
    let [_, second] = stage.servers;
    second.stop();
}
