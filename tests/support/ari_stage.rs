//! A real Asterisk, a server that controls its calls over the REST interface, and the agent that takes
//! them.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::agent::{Agent, Agents};
use super::api_carrier::expect;
use super::asterisk::{self, Asterisk, Settings};
use super::pbx::{bytes, samples};
use super::ports::Ports;
use super::server::{Server, folder};
use super::{until, wav};

/// How long something may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
pub const CONFIGS: &str = "/api/v1/organizations/telephony-configs";
/// Payload type of linear audio.
pub const L16_PT: u8 = 96;

/// Asterisk, a server that controls its calls, and the agent that takes them.
pub struct Stage {
    pub asterisk: Asterisk,
    pub server: Server,
    pub agents: Agents,
    pub configuration: String,
    pub app: String,
}

/// What a stage is to be like.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Fields of the configuration beside those that say where Asterisk is.
    pub fields: Value,
    /// The rate of the agent that takes calls.
    pub rate_hz: u32,
    /// More of the server's configuration.
    pub more: String,
    /// More of `extensions.conf`, in the context `test`.
    pub extensions_more: String,
    /// What is said to the console of Asterisk before anything else.
    pub console: Vec<&'static str>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            fields: json!({"media": "rtp", "format": "ulaw"}),
            rate_hz: 8_000,
            more: String::new(),
            extensions_more: String::new(),
            console: Vec::new(),
        }
    }
}

/// The way that audio travels, as the configuration has it, and its format.
#[track_caller]
pub fn stage(media: &str, format: &str, rate_hz: u32) -> Option<Stage> {
    let mut fields = json!({"media": media, "format": format});
    if media == "websocket_client" {
        fields["ws_client"] = json!("media_out");
    }
    begin(&Wish { fields, rate_hz, ..Wish::default() })
}

/// A server whose configuration has this, and its agents.
#[track_caller]
pub fn server(rate_hz: u32, more: &str) -> (Server, Agents) {
    let (agents, ports) = (Agents::listen(), Ports::claim());
    let door: SocketAddr = ([127, 0, 0, 1], ports.pair()).into();
    let none = if more.contains("[[routes]]") { "" } else { "routes = []\n" };
    let config = format!(
        "{none}[audiosocket]\nlisten = \"{door}\"\n[[agents]]\nname = \"echo\"\n\
         kind = \"builtin\"\nbuiltin = \"echo\"\n[[agents]]\nname = \"bot\"\nkind = \"websocket\"\n\
         url = \"{}\"\ngrace_ms = 0\nformat = {{ codec = \"l16le\", rate_hz = {rate_hz} }}\n{more}",
        agents.url()
    );
    (Server::start_on(ports, folder(), &config), agents)
}

/// Makes a configuration: its id, and the name of its application.
#[track_caller]
pub fn configure(server: &Server, fields: &Value) -> (String, String) {
    let wanted = json!({"name": "pbx", "config": fields});
    let made = expect(server, 201, "POST", CONFIGS, Some(wanted));
    let configuration = made["id"].as_str().unwrap().to_owned();
    let path = format!("{CONFIGS}/{configuration}");
    let named = expect(server, 200, "POST", &format!("{path}/provision"), None);
    let app = named["credentials"]["app"].as_str().unwrap().to_owned();
    let all = expect(server, 200, "GET", "/api/v1/agents", None);
    let bot = all["items"].as_array().unwrap().iter().find(|it| it["name"] == "bot").unwrap();
    for number in ["700", "780"] {
        let wanted = json!({"address": number, "inbound_agent_id": bot["id"]});
        expect(server, 201, "POST", &format!("{path}/phone-numbers"), Some(wanted));
    }
    (configuration, app)
}

/// A stage as it is wished for.
#[track_caller]
pub fn begin(wish: &Wish) -> Option<Stage> {
    asterisk::installed()?;
    let (server, agents) = server(wish.rate_hz, &wish.more);
    let asterisk = Asterisk::start(&Settings {
        media_uri: format!("ws://{}/api/v1/telephony/ws/ari", server.http),
        sip_peer: server.sip,
        extensions_more: wish.extensions_more.clone(),
        ..Settings::default()
    })?;
    for command in &wish.console {
        asterisk.cli(command);
    }
    let mut fields = json!({
        "provider": "ari", "ari_url": asterisk.ari_url(), "username": asterisk.user,
        "password": asterisk.password, "endpoint": "Local/{number}@test",
    });
    for (name, value) in wish.fields.as_object().unwrap() {
        fields[name] = value.clone();
    }
    let (configuration, app) = configure(&server, &fields);
    let stage = Stage { asterisk, server, agents, configuration, app };
    let tried = stage.tried();
    assert_eq!(tried["ok"], true, "{tried}");
    stage.name_app();
    stage.wait_listening();
    Some(stage)
}

impl Stage {
    /// What the test of the credentials says.
    #[track_caller]
    pub fn tried(&self) -> Value {
        let path = format!("{CONFIGS}/{}/test", self.configuration);
        expect(&self.server, 200, "POST", &path, None)
    }

    /// Asks for a transfer of an agent's call.
    #[track_caller]
    pub fn transfer(&self, agent: &Agent, wanted: &Value) {
        let path = format!("/api/v1/calls/{}/transfer", call_of(agent));
        let (status, said) = self.server.http("POST", &path, Some(wanted));
        assert!((200..300).contains(&status), "{status} {said}");
    }

    /// The dialplan hands calls to our application.
    fn name_app(&self) {
        let file = self.asterisk.etc().join("extensions.conf");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("Stasis(talkpath-test,", &format!("Stasis({},", self.app)))
            .unwrap();
        self.asterisk.cli("dialplan reload");
    }

    /// The socket of events is up, and what it says is limited.
    #[track_caller]
    pub fn wait_listening(&self) {
        until(SOON, "the application is there", || {
            let (status, app) = self.asterisk.ari("GET", &format!("/applications/{}", self.app));
            let limited = app["events_disallowed"].as_array().is_some_and(|it| !it.is_empty());
            (status == 200 && limited).then_some(())
        });
    }

    /// A caller with that extension behind it, and the agent that takes it.
    #[track_caller]
    pub fn calls_in(&self, extension: &str, format: &str) -> (String, Agent) {
        let caller = self.asterisk.connect("Local/700@test", extension, format);
        (caller, self.agent())
    }

    /// The agent of the next call, once that is answered.
    #[track_caller]
    pub fn agent(&self) -> Agent {
        let mut agent = self.agents.accept();
        if agent.start["state"] != "answered" {
            agent.event("answered");
        }
        agent
    }

    /// Places a call; its id.
    #[track_caller]
    pub fn place(&self, to: &str, ring_s: u32) -> String {
        self.place_for("bot", to, ring_s)
    }

    /// The same for another agent.
    #[track_caller]
    pub fn place_for(&self, agent: &str, to: &str, ring_s: u32) -> String {
        let wanted = json!({
            "to": to, "agent": agent, "telephony_configuration_id": self.configuration,
            "from": "+4930123456", "ring_timeout_s": ring_s,
        });
        let call = expect(&self.server, 201, "POST", "/api/v1/calls", Some(wanted));
        call["id"].as_str().unwrap().to_owned()
    }

    /// The record of a call, once it is over.
    #[track_caller]
    pub fn ended(&self, call: &str) -> Value {
        let path = format!("/api/v1/calls/{call}");
        until(SOON, "the end of the call", || {
            let call = expect(&self.server, 200, "GET", &path, None);
            (call["state"] == "ended").then_some(call)
        })
    }

    /// Hangs up a call as the API does.
    #[track_caller]
    pub fn hang_up(&self, call: &str) {
        let path = format!("/api/v1/calls/{call}/hangup");
        expect(&self.server, 204, "POST", &path, None);
    }

    /// Everything is over, on both sides.
    #[track_caller]
    pub fn finish(self) {
        self.server.wait_idle();
        self.asterisk.wait_idle();
        self.server.stop();
    }
}

/// The call of an agent.
pub fn call_of(agent: &Agent) -> String {
    agent.start["call_id"].as_str().unwrap().to_owned()
}

/// The agent says a tone to an echo, and hears it.
#[track_caller]
pub fn hears_itself(agent: &mut Agent, rate_hz: u32, hz: f64) {
    let said = bytes(&wav::sine_at(hz, rate_hz, 4.0));
    said.chunks(32_000).for_each(|part| agent.play(L16_PT, part));
    until(SOON, "the agent hears itself", || {
        agent.look();
        let heard: Vec<u8> = agent.frames.iter().flat_map(|it| it.payload.clone()).collect();
        wav::has_tone(&samples(&heard), rate_hz, hz).then_some(())
    });
}
