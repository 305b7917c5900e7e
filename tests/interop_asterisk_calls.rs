//! A real Asterisk whose calls are controlled over its REST interface: they come in and are placed,
//! by every way that audio travels, and whatever ends them, nothing is left of them there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::api_carrier::expect;
use support::asterisk::{self, Asterisk, Settings};
use support::pbx::{bytes, samples};
use support::ports::Ports;
use support::server::{Server, folder};
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);
const CONFIGS: &str = "/api/v1/organizations/telephony-configs";
/// Payload type of linear audio.
const L16_PT: u8 = 96;

/// Asterisk, a server that controls its calls, and the agent that takes them.
struct Stage {
    asterisk: Asterisk,
    server: Server,
    agents: Agents,
    configuration: String,
    app: String,
}

/// The way that audio travels, as the configuration has it, and its format.
#[track_caller]
fn stage(media: &str, format: &str, rate_hz: u32) -> Option<Stage> {
    asterisk::installed()?;
    let (agents, ports) = (Agents::listen(), Ports::claim());
    let door: SocketAddr = ([127, 0, 0, 1], ports.pair()).into();
    let config = format!(
        "routes = []\n[audiosocket]\nlisten = \"{door}\"\n[[agents]]\nname = \"echo\"\n\
         kind = \"builtin\"\nbuiltin = \"echo\"\n[[agents]]\nname = \"bot\"\nkind = \"websocket\"\n\
         url = \"{}\"\ngrace_ms = 0\nformat = {{ codec = \"l16le\", rate_hz = {rate_hz} }}\n",
        agents.url()
    );
    let server = Server::start_on(ports, folder(), &config);
    let asterisk = Asterisk::start(&Settings {
        media_uri: format!("ws://{}/api/v1/telephony/ws/ari", server.http),
        ..Settings::default()
    })?;
    let mut fields = json!({
        "provider": "ari", "ari_url": asterisk.ari_url(), "username": asterisk.user,
        "password": asterisk.password, "endpoint": "Local/{number}@test", "media": media,
        "format": format,
    });
    if media == "websocket_client" {
        fields["ws_client"] = json!("media_out");
    }
    let wanted = json!({"name": "pbx", "config": fields});
    let made = expect(&server, 201, "POST", CONFIGS, Some(wanted));
    let configuration = made["id"].as_str().unwrap().to_owned();
    let path = format!("{CONFIGS}/{configuration}");
    let tried = expect(&server, 200, "POST", &format!("{path}/test"), None);
    assert_eq!(tried["ok"], true, "{tried}");
    let named = expect(&server, 200, "POST", &format!("{path}/provision"), None);
    let app = named["credentials"]["app"].as_str().unwrap().to_owned();
    let all = expect(&server, 200, "GET", "/api/v1/agents", None);
    let bot = all["items"].as_array().unwrap().iter().find(|it| it["name"] == "bot").unwrap();
    for number in ["700", "780"] {
        let wanted = json!({"address": number, "inbound_agent_id": bot["id"]});
        expect(&server, 201, "POST", &format!("{path}/phone-numbers"), Some(wanted));
    }
    let stage = Stage { asterisk, server, agents, configuration, app };
    stage.name_app();
    stage.wait_listening();
    Some(stage)
}

impl Stage {
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
    fn wait_listening(&self) {
        until(SOON, "the application is there", || {
            let (status, app) = self.asterisk.ari("GET", &format!("/applications/{}", self.app));
            let limited = app["events_disallowed"].as_array().is_some_and(|it| !it.is_empty());
            (status == 200 && limited).then_some(())
        });
    }

    /// A caller with that extension behind it, and the agent that takes it.
    #[track_caller]
    fn calls_in(&self, extension: &str, format: &str) -> (String, Agent) {
        let caller = self.asterisk.connect("Local/700@test", extension, format);
        (caller, self.agent())
    }

    /// The agent of the next call, once that is answered.
    #[track_caller]
    fn agent(&self) -> Agent {
        let mut agent = self.agents.accept();
        if agent.start["state"] != "answered" {
            agent.event("answered");
        }
        agent
    }

    /// Places a call; its id.
    #[track_caller]
    fn place(&self, to: &str, ring_s: u32) -> String {
        self.place_for("bot", to, ring_s)
    }

    /// The same for another agent.
    #[track_caller]
    fn place_for(&self, agent: &str, to: &str, ring_s: u32) -> String {
        let wanted = json!({
            "to": to, "agent": agent, "telephony_configuration_id": self.configuration,
            "from": "+4930123456", "ring_timeout_s": ring_s,
        });
        let call = expect(&self.server, 201, "POST", "/api/v1/calls", Some(wanted));
        call["id"].as_str().unwrap().to_owned()
    }

    /// The record of a call, once it is over.
    #[track_caller]
    fn ended(&self, call: &str) -> Value {
        let path = format!("/api/v1/calls/{call}");
        until(SOON, "the end of the call", || {
            let call = expect(&self.server, 200, "GET", &path, None);
            (call["state"] == "ended").then_some(call)
        })
    }

    /// Hangs up a call as the API does.
    #[track_caller]
    fn hang_up(&self, call: &str) {
        let path = format!("/api/v1/calls/{call}/hangup");
        expect(&self.server, 204, "POST", &path, None);
    }

    /// Everything is over, on both sides.
    #[track_caller]
    fn finish(self) {
        self.server.wait_idle();
        self.asterisk.wait_idle();
        self.server.stop();
    }
}

/// The call of an agent.
fn call_of(agent: &Agent) -> String {
    agent.start["call_id"].as_str().unwrap().to_owned()
}

/// The agent says a tone to an echo, and hears it.
#[track_caller]
fn hears_itself(agent: &mut Agent, rate_hz: u32, hz: f64) {
    let said = bytes(&wav::sine_at(hz, rate_hz, 4.0));
    said.chunks(32_000).for_each(|part| agent.play(L16_PT, part));
    until(SOON, "the agent hears itself", || {
        agent.look();
        let heard: Vec<u8> = agent.frames.iter().flat_map(|it| it.payload.clone()).collect();
        wav::has_tone(&samples(&heard), rate_hz, hz).then_some(())
    });
}

/// A call in and a call out, each with an echo behind it: tones come back, as high as the rate
/// carries; each is ended by one of the two sides.
#[track_caller]
fn echoes(media: &str, format: &str, codec: &str, (rate_hz, hz): (u32, f64)) {
    let Some(stage) = stage(media, format, rate_hz) else { return };
    let (_, mut agent) = stage.calls_in("600", codec);
    assert_eq!(agent.start["provider"], "ari", "{}", agent.start);
    assert_eq!((&agent.start["to"], &agent.start["from"]), (&json!("700"), &json!("+15550001234")));
    hears_itself(&mut agent, rate_hz, hz);
    let call = call_of(&agent);
    stage.hang_up(&call);
    let ended = stage.ended(&call);
    assert_eq!((&ended["cause"], &ended["status"]), (&json!("normal"), &json!("completed")));
    stage.asterisk.wait_idle();

    let call = stage.place("600", 30);
    let mut agent = stage.agent();
    hears_itself(&mut agent, rate_hz, hz);
    agent.order("hangup");
    assert_eq!(stage.ended(&call)["ended_by"], "agent");
    stage.finish();
}

/// RTP at 8 kHz.
#[test]
fn tones_by_rtp_at_8_khz() {
    echoes("rtp", "ulaw", "ulaw", (8_000, 1_000.0));
}

/// RTP at 16 kHz, where a tone of 5.2 kHz passes.
#[test]
fn tones_by_rtp_at_16_khz() {
    echoes("rtp", "g722", "g722", (16_000, 5_200.0));
}

/// A WebSocket that Asterisk opens.
#[test]
fn tones_by_a_websocket_that_asterisk_opens() {
    echoes("websocket_client", "slin16", "slin16", (16_000, 5_200.0));
}

/// A WebSocket that we open.
#[test]
fn tones_by_a_websocket_that_we_open() {
    echoes("websocket_server", "slin16", "slin16", (16_000, 5_200.0));
}

/// AudioSocket.
#[test]
fn tones_by_audiosocket() {
    echoes("audiosocket", "slin16", "slin16", (16_000, 5_200.0));
}

/// Keys of the far end are told once each and in order; those of the agent are heard there.
#[test]
fn keys_both_ways() {
    let Some(stage) = stage("rtp", "ulaw", 8_000) else { return };
    let (_, mut agent) = stage.calls_in("602", "ulaw");
    for key in "1234567890*#".chars() {
        assert_eq!(agent.event("dtmf")["digit"], key.to_string());
    }
    agent.order("hangup");
    agent.event("stop");
    stage.server.wait_idle();
    stage.asterisk.wait_idle();
    // Another agent of ours is at the far end, and hears the keys that this one presses.
    let _caller = stage.asterisk.connect("Local/700@test", "780", "ulaw");
    let (mut one, mut other) = (stage.agent(), stage.agent());
    one.say(&json!({"event": "dtmf", "digits": "42#"}));
    for key in "42#".chars() {
        assert_eq!(other.event("dtmf")["digit"], key.to_string());
    }
    one.order("hangup");
    other.event("stop");
    stage.finish();
}

/// Whoever ends a call, and however it comes to nothing: the record says so, and nothing is left.
#[test]
fn every_way_to_end() {
    let Some(stage) = stage("rtp", "ulaw", 8_000) else { return };
    // The far end hangs up.
    let call = stage.place("605", 30);
    let mut agent = stage.agent();
    assert_eq!(agent.event("stop")["by"], "caller");
    let ended = stage.ended(&call);
    assert_eq!((&ended["cause"], &ended["ended_by"]), (&json!("normal"), &json!("caller")));
    // Nobody answers in time, somebody is busy, nobody has that number, the network has no room.
    for (to, ring_s, cause, status) in [
        ("606", 2, "no_answer", "no-answer"),
        ("620", 30, "busy", "busy"),
        ("517", 30, "busy", "busy"),
        ("519", 30, "no_answer", "no-answer"),
        ("501", 30, "not_found", "failed"),
        ("534", 30, "congestion", "failed"),
    ] {
        let call = stage.place_for("echo", to, ring_s);
        let ended = stage.ended(&call);
        assert_eq!((&ended["cause"], &ended["status"]), (&json!(cause), &json!(status)), "{to}");
    }
    // We give up while it rings.
    let call = stage.place_for("echo", "606", 60);
    until(SOON, "it rings", || {
        let path = format!("/api/v1/calls/{call}");
        let call = expect(&stage.server, 200, "GET", &path, None);
        (call["ringing_at"].is_string() || call["status"] == "ringing").then_some(())
    });
    stage.hang_up(&call);
    assert_eq!(stage.ended(&call)["status"], "canceled");
    // A number that nobody takes is refused with its cause.
    let caller = stage.asterisk.connect("Local/703@test", "600", "ulaw");
    until(SOON, "the caller is refused", || {
        (stage.asterisk.ari("GET", &format!("/channels/{caller}")).0 == 404).then_some(())
    });
    // The caller hangs up.
    let (caller, mut agent) = stage.calls_in("600", "ulaw");
    assert_eq!(stage.asterisk.ari("DELETE", &format!("/channels/{caller}")).0, 204);
    assert_eq!(agent.event("stop")["by"], "caller");
    // Somebody takes the bridge away.
    let (_, mut agent) = stage.calls_in("600", "ulaw");
    let bridges = stage.asterisk.ari("GET", "/bridges").1;
    let bridge = bridges[0]["id"].as_str().unwrap();
    assert_eq!(stage.asterisk.ari("DELETE", &format!("/bridges/{bridge}")).0, 204);
    agent.event("stop");
    stage.finish();
}

/// Many calls at once: all talk, and nothing is left.
#[test]
fn many_calls() {
    const CALLS: usize = 50;
    let Some(stage) = stage("rtp", "ulaw", 8_000) else { return };
    for _ in 0..CALLS {
        stage.asterisk.connect("Local/700@test", "600", "ulaw");
    }
    let mut agents: Vec<_> = (0..CALLS).map(|_| stage.agent()).collect();
    assert_eq!(stage.asterisk.bridges(), CALLS);
    let tone = bytes(&wav::sine_at(1_000.0, 8_000, 3.0));
    agents.iter_mut().for_each(|agent| agent.play(L16_PT, &tone));
    for agent in &mut agents {
        until(SOON, "each hears itself", || {
            agent.look();
            let heard: Vec<u8> = agent.frames.iter().flat_map(|it| it.payload.clone()).collect();
            wav::has_tone(&samples(&heard), 8_000, 1_000.0).then_some(())
        });
    }
    agents.iter_mut().for_each(|agent| agent.order("hangup"));
    agents.iter_mut().for_each(|agent| drop(agent.event("stop")));
    stage.finish();
}

/// Asterisk is killed in the middle of a call, which ends; soon after it is back calls come again.
#[test]
fn asterisk_dies() {
    let Some(mut stage) = stage("rtp", "ulaw", 8_000) else { return };
    let (_, mut agent) = stage.calls_in("600", "ulaw");
    hears_itself(&mut agent, 8_000, 1_000.0);
    let call = call_of(&agent);
    stage.asterisk.kill();
    stage.asterisk.start_again();
    let ended = stage.ended(&call);
    assert_eq!(ended["cause"], "network_failure", "{ended}");
    stage.wait_listening();
    let (_, mut agent) = stage.calls_in("600", "ulaw");
    hears_itself(&mut agent, 8_000, 1_000.0);
    agent.order("hangup");
    agent.event("stop");
    stage.finish();
}

/// A call is handed to somebody whom Asterisk calls: the caller is left with them, and when one
/// hangs up nothing is left.
#[test]
fn handed_over() {
    let Some(stage) = stage("rtp", "ulaw", 8_000) else { return };
    let (caller, mut agent) = stage.calls_in("600", "ulaw");
    let path = format!("/api/v1/calls/{}/transfer", call_of(&agent));
    let hand_to = |destination: &str| {
        let wanted = json!({"kind": "blind", "destination": destination});
        let (status, said) = stage.server.http("POST", &path, Some(&wanted));
        assert!((200..300).contains(&status), "{status} {said}");
    };
    let state = |agent: &mut Agent, wanted: &str| {
        until(SOON, wanted, || (agent.event("transfer")["state"] == wanted).then_some(()));
    };
    // Nobody is free there: the caller stays with the agent.
    hand_to("620");
    state(&mut agent, "failed");
    hears_itself(&mut agent, 8_000, 1_000.0);
    hand_to("604");
    state(&mut agent, "bridged");
    agent.event("stop");
    stage.server.wait_idle();
    assert_eq!(stage.asterisk.bridges(), 1, "the two are together");
    assert_eq!(stage.asterisk.ari("DELETE", &format!("/channels/{caller}")).0, 204);
    stage.finish();
}
