//! Calls of an Asterisk in miniature, controlled over its REST interface: taken, placed, cut off
//! and lost; whatever happens, each ends with its cause and nothing is left there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::api_carrier::{SOON, expect};
use support::ari_pbx::{AriPbx, BASIC};
use support::pbx::{Bare, bytes};
use support::ports::Ports;
use support::server::{Server, folder};
use support::talk::{self, say};
use support::{ear, until, wav};

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

struct Stage {
    pbx: AriPbx,
    server: Server,
    agents: Agents,
    configuration: String,
}

/// A server whose agent is `bot`, with an agent `echo` beside it.
#[track_caller]
fn server(ports: Ports, more: &str) -> (Server, Agents) {
    let echo = "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n";
    talk::server_on(ports, folder(), &format!("routes = []\n{more}{echo}"))
}

#[track_caller]
fn stage() -> Stage {
    stage_with(&json!({}), |_, _, _| {})
}

/// The same with other fields, and with something done once the application has its name, which
/// gets what the configuration shows.
#[track_caller]
fn stage_with(more: &Value, then: impl FnOnce(&AriPbx, &Value, &str)) -> Stage {
    stage_of(server(Ports::claim(), ""), more, then)
}

/// The same with this server.
#[track_caller]
fn stage_of(
    (server, agents): (Server, Agents),
    more: &Value,
    then: impl FnOnce(&AriPbx, &Value, &str),
) -> Stage {
    let pbx = AriPbx::start();
    let mut fields = json!({
        "provider": "ari", "ari_url": format!("http://{}", pbx.at), "username": "pbx",
        "password": "secret", "endpoint": "PJSIP/{number}@trunk", "headers": ["X-Tenant"],
    });
    for (name, value) in more.as_object().unwrap() {
        fields[name] = value.clone();
    }
    let config = json!({"name": "pbx", "config": fields});
    let made = expect(&server, 201, "POST", CONFIGS, Some(config));
    let configuration = made["id"].as_str().unwrap().to_owned();
    let path = format!("{CONFIGS}/{configuration}");
    let named = expect(&server, 200, "POST", &format!("{path}/provision"), None);
    let app = named["credentials"]["app"].as_str().unwrap();
    let files = named["setup_files"].to_string();
    assert!(files.contains(&format!("Stasis({app},")) && !files.contains("secret"), "{files}");
    then(&pbx, &named, app);
    let all = expect(&server, 200, "GET", "/api/v1/agents", None);
    let bot = all["items"].as_array().unwrap().iter().find(|it| it["name"] == "bot").unwrap();
    let wanted = json!({"address": "700", "inbound_agent_id": bot["id"]});
    expect(&server, 201, "POST", &format!("{path}/phone-numbers"), Some(wanted));
    let stage = Stage { pbx, server, agents, configuration };
    stage.wait_listening(1);
    stage.wait_routed();
    stage
}

impl Stage {
    /// The socket of events was opened so many times, and what it says was limited.
    #[track_caller]
    fn wait_listening(&self, times: usize) {
        until(SOON, "the socket of events", || {
            (self.pbx.asked("eventFilter") >= times && self.pbx.sockets() > 0).then_some(())
        });
    }

    /// Calls of the number lead somewhere: what was configured is known a little later.
    #[track_caller]
    fn wait_routed(&self) {
        let mut agent = until(SOON, "the number is known", || {
            let caller = self.pbx.calls("700", "+15550100001");
            until(SOON, "something becomes of the call", || {
                let agent = self.agents.try_accept();
                (agent.is_some() || self.pbx.state_of(&caller).is_none()).then_some(agent)
            })
        });
        agent.order("hangup");
        agent.event("stop");
        self.server.wait_idle();
        until(SOON, "nothing is left", || (self.pbx.living() == (0, 0)).then_some(()));
    }

    /// A caller whom the agent talks with.
    #[track_caller]
    fn talking(&self) -> (String, Agent) {
        let caller = self.pbx.calls("700", "+15550100002");
        (caller, talk::answered(&self.agents))
    }

    /// The same of a caller of whose channel is known what was asked for. A caller waits for that
    /// for 300 ms and no longer, and a machine that is busy otherwise is not always as fast.
    #[track_caller]
    fn talking_and_told(&self) -> (String, Agent) {
        until(SOON, "the header is known in time", || {
            let (caller, mut agent) = self.talking();
            if !agent.start["headers"]["X-Tenant"].is_null() {
                return Some((caller, agent));
            }
            self.pbx.hangs_up(&caller);
            agent.event("stop");
            None
        })
    }

    #[track_caller]
    fn place(&self, agent: &str, to: &str) -> String {
        let wanted = json!({
            "to": to, "agent": agent, "telephony_configuration_id": self.configuration,
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

    /// Nothing is left, on either side.
    #[track_caller]
    fn finish(self) {
        self.server.wait_idle();
        until(SOON, "nothing is left", || (self.pbx.living() == (0, 0)).then_some(()));
        self.server.stop();
    }
}

fn call_of(agent: &Agent) -> String {
    agent.start["call_id"].as_str().unwrap().to_owned()
}

/// The agent says its tone to the echo, and hears it.
#[track_caller]
fn hears_itself(agent: &mut Agent) {
    say(agent, 30);
    until(SOON, "the agent hears itself", || {
        agent.look();
        wav::has_tone(&ear::samples(&agent.frames), 8_000, talk::AGENT_HZ).then_some(())
    });
}

/// A caller is answered once its audio is there, is heard both ways, presses keys that are told
/// once, and is gone without a trace when it hangs up.
#[test]
fn a_caller() {
    let stage = stage();
    let (caller, mut agent) = stage.talking_and_told();
    let start = &agent.start;
    assert_eq!((&start["to"], &start["from"]), (&json!("700"), &json!("+15550100002")));
    assert_eq!(start["headers"]["X-Tenant"], "t-1", "{start}");
    until(SOON, "it is answered", || (stage.pbx.state_of(&caller) == Some("Up")).then_some(()));
    hears_itself(&mut agent);
    stage.pbx.presses(&caller, '7');
    assert_eq!(agent.event("dtmf")["digit"], "7");
    agent.say(&json!({"event": "dtmf", "digits": "12"}));
    until(SOON, "keys are pressed there", || (stage.pbx.asked("/dtmf") > 0).then_some(()));
    stage.pbx.hangs_up(&caller);
    assert_eq!(agent.event("stop")["by"], "caller");
    let ended = stage.ended(&call_of(&agent));
    assert_eq!((&ended["cause"], &ended["status"]), (&json!("normal"), &json!("completed")));
    stage.finish();
}

/// The agent hangs up; who calls a number of nobody is refused.
#[test]
fn callers_are_let_go() {
    let stage = stage();
    let (_, mut agent) = stage.talking();
    agent.order("hangup");
    assert_eq!(stage.ended(&call_of(&agent))["ended_by"], "agent");
    let stranger = stage.pbx.calls("799", "+15550100003");
    until(SOON, "it is refused", || stage.pbx.state_of(&stranger).is_none().then_some(()));
    stage.finish();
}

/// A call whose audio cannot be had is refused, not answered.
#[test]
fn without_audio() {
    let stage = stage();
    let before = stage.pbx.asked("/answer");
    stage.pbx.break_requests("externalMedia", 500);
    let caller = stage.pbx.calls("700", "+15550100002");
    until(SOON, "it is refused", || stage.pbx.state_of(&caller).is_none().then_some(()));
    assert_eq!(stage.pbx.asked("/answer"), before);
    stage.finish();
}

/// Calls that we place: one is answered and talks, others come to nothing with their causes.
#[test]
fn calls_are_placed() {
    let stage = stage();
    let call = stage.place("bot", "600");
    let leg = until(SOON, "it rings", || {
        stage.pbx.find(".o.").filter(|leg| stage.pbx.state_of(leg) == Some("Ringing"))
    });
    stage.pbx.answers(&leg);
    let mut agent = talk::answered(&stage.agents);
    hears_itself(&mut agent);
    stage.pbx.hangs_up(&leg);
    let ended = stage.ended(&call);
    assert_eq!((&ended["cause"], &ended["ended_by"]), (&json!("normal"), &json!("caller")));
    for (to, cause) in [("620", "busy"), ("404", "not_found"), ("777", "not_found")] {
        assert_eq!(stage.ended(&stage.place("echo", to))["cause"], cause, "{to}");
    }
    let call = stage.place("echo", "601");
    until(SOON, "it rings", || stage.pbx.find(".o."));
    let path = format!("/api/v1/calls/{call}/hangup");
    expect(&stage.server, 204, "POST", &path, None);
    assert_eq!(stage.ended(&call)["status"], "canceled");
    stage.finish();
}

/// The socket of events is lost: who talks goes on talking, who has gone meanwhile is over, who
/// came meanwhile is taken, and what nobody knows is ended.
#[test]
fn the_socket_is_lost() {
    let stage = stage();
    let (kept, mut one) = stage.talking();
    let (gone, other) = stage.talking();
    until(SOON, "both are answered", || {
        let up = |caller: &String| stage.pbx.state_of(caller) == Some("Up");
        (up(&kept) && up(&gone)).then_some(())
    });
    stage.pbx.lock_out(true);
    stage.pbx.drop_sockets();
    hears_itself(&mut one);
    stage.pbx.hangs_up(&gone);
    let unheard = stage.pbx.calls("700", "+15550100004");
    stage.pbx.lock_out(false);
    assert_eq!(stage.ended(&call_of(&other))["cause"], "network_failure");
    let mut third = talk::answered(&stage.agents);
    assert_eq!(third.start["from"], "+15550100004");
    for caller in [kept, unheard] {
        stage.pbx.hangs_up(&caller);
    }
    one.event("stop");
    third.event("stop");
    stage.finish();
}

/// An Asterisk that forgets everything: its calls are over, and new ones are taken.
#[test]
fn everything_is_forgotten() {
    let stage = stage();
    let (_, mut agent) = stage.talking();
    hears_itself(&mut agent);
    stage.pbx.forget();
    stage.pbx.drop_sockets();
    assert_eq!(stage.ended(&call_of(&agent))["cause"], "network_failure");
    let (caller, mut agent) = stage.talking();
    hears_itself(&mut agent);
    stage.pbx.hangs_up(&caller);
    agent.event("stop");
    stage.finish();
}

/// The id that an AudioSocket says lets one connection in: whoever else knows it hears and says
/// nothing, while it waits for the answer and while it talks. A connection that is lost is opened
/// again by the same id, and so is the one of a media channel that Asterisk has lost; a call that
/// is over has no audio.
#[test]
fn an_audiosocket_is_let_in_once() {
    let ports = Ports::claim();
    let door: SocketAddr = ([127, 0, 0, 1], ports.pair()).into();
    let door_lines = format!("[audiosocket]\nlisten = \"{door}\"\nto = \"700\"\n");
    let (server, agents) = server(ports, &door_lines);
    let stage = stage_of((server, agents), &json!({"media": "audiosocket"}), |_, _, _| {});
    let before = stage.pbx.audiosocket();
    let caller = stage.pbx.calls("700", "+15550100002");
    let asked = || stage.pbx.audiosocket().filter(|last| Some(last) != before.as_ref());
    let (to, id) = until(SOON, "an AudioSocket is asked for", asked);
    assert_eq!(to, door);
    let mut line = until(SOON, "it is let in", || opens(to, &id));
    Bare::connect(to, &id).wait_hung_up();
    let mut agent = talk::answered(&stage.agents);
    let hears = |line: &mut Bare, agent: &mut Agent, hz: f64| {
        let (said, before) = (bytes(&wav::sine_at(hz, 8_000, 1.5)), agent.frames.len());
        said.chunks(320).for_each(|frame| line.say(0x10, frame));
        until(SOON, "the agent hears the caller", || {
            agent.look();
            wav::has_tone(&ear::samples(&agent.frames[before..]), 8_000, hz).then_some(())
        });
    };
    hears(&mut line, &mut agent, 700.0);
    let mut thief = Bare::connect(to, &id);
    thief.wait_hung_up();
    assert!(thief.heard(0x10).is_empty(), "not a word");
    line.look();
    assert!(!line.closed, "nobody has taken its place");
    hears(&mut line, &mut agent, 900.0);
    line.break_off();
    let mut again = until(SOON, "it is let in again", || opens(to, &id));
    hears(&mut again, &mut agent, 1_200.0);
    // The channel is lost while its connection seems to be there.
    let asked = stage.pbx.asked("externalMedia");
    stage.pbx.loses(&stage.pbx.find(".m.").unwrap());
    until(SOON, "another is asked for", || {
        (stage.pbx.asked("externalMedia") > asked).then_some(())
    });
    let mut other = until(SOON, "it is let in", || opens(to, &id));
    hears(&mut other, &mut agent, 1_500.0);
    stage.pbx.hangs_up(&caller);
    assert_eq!(agent.event("stop")["by"], "caller");
    stage.server.wait_idle();
    Bare::connect(to, &id).wait_hung_up();
    stage.finish();
}

/// An AudioSocket that says this, if it is let in.
fn opens(to: SocketAddr, id: &str) -> Option<Bare> {
    let mut line = Bare::connect(to, id);
    until(SOON, "a word", || {
        line.look();
        (line.closed || !line.came.is_empty()).then_some(())
    });
    // Who is not let in is told to hang up, and nothing else.
    (line.came.first()?.kind == 0x10).then_some(line)
}

/// A socket that another program has taken is given up, and calls are not placed without it.
#[test]
fn the_application_is_taken() {
    let stage = stage();
    stage.pbx.say("ApplicationReplaced");
    let wanted = json!({
        "to": "600", "agent": "bot", "telephony_configuration_id": stage.configuration,
    });
    until(SOON, "no call is placed", || {
        let (status, said) = stage.server.http("POST", "/api/v1/calls", Some(&wanted));
        (status != 201 && said.contains("socket of events")).then_some(())
    });
    assert_eq!(stage.pbx.asked("eventFilter"), 1);
    stage.server.stop();
}

/// A server that is killed leaves a call behind; the next one ends it there.
#[test]
fn what_a_killed_server_left() {
    let stage = stage();
    let (_, agent) = stage.talking();
    let path = format!("/api/v1/calls/{}/events", call_of(&agent));
    until(SOON, "it is written down", || {
        let events = expect(&stage.server, 200, "GET", &path, None);
        events["items"].to_string().contains("answered").then_some(())
    });
    let Stage { pbx, mut server, .. } = stage;
    assert_eq!(pbx.living().1, 1);
    let dir = server.dir.clone();
    server.kill();
    server.leave_files();
    drop(server);
    let server = Server::start_in(dir, "");
    until(SOON, "nothing is left", || (pbx.living() == (0, 0)).then_some(()));
    server.stop();
}

/// Transfers that come to nothing say why, and each has a leg of its own; one that is given up
/// while it rings is let go; one that is answered takes the caller.
#[test]
fn callers_are_handed_over() {
    let stage = stage();
    let (caller, mut agent) = stage.talking();
    let path = format!("/api/v1/calls/{}/transfer", call_of(&agent));
    let transfer = |wanted: Value| {
        let (status, said) = stage.server.http("POST", &path, Some(&wanted));
        assert!((200..300).contains(&status), "{status} {said}");
    };
    let state = |agent: &mut Agent, wanted: &str| {
        until(SOON, wanted, || {
            let event = agent.event("transfer");
            (event["state"] == wanted).then_some(event)
        })
    };
    for (to, cause) in [("620", "busy"), ("404", "not_found"), ("620", "busy")] {
        transfer(json!({"kind": "blind", "destination": to}));
        assert_eq!(state(&mut agent, "failed")["cause"], cause, "{to}");
    }
    for _ in 0..2 {
        transfer(json!({"kind": "bridge", "destination": "+15550000601"}));
        until(SOON, "it rings", || stage.pbx.find(".t."));
        transfer(json!({"kind": "cancel"}));
        state(&mut agent, "cancelled");
        until(SOON, "it is let go", || stage.pbx.find(".t.").is_none().then_some(()));
    }
    hears_itself(&mut agent);
    transfer(json!({"kind": "blind", "destination": "602"}));
    let leg = until(SOON, "it rings", || stage.pbx.find(".x."));
    stage.pbx.answers(&leg);
    state(&mut agent, "bridged");
    agent.event("stop");
    stage.server.wait_idle();
    assert_eq!(stage.pbx.living(), (2, 1), "the two are together");
    stage.pbx.hangs_up(&caller);
    stage.finish();
}

/// Asterisk opens the socket, by the address and the password that the configuration has; it is
/// asked over it, and nothing else reaches it. One that is lost is opened again.
#[test]
fn the_pbx_opens_the_socket() {
    let fields = json!({"events": "outbound", "ari_url": "http://127.0.0.1:9", "media": "rtp"});
    let mut opened = None;
    let stage = stage_with(&fields, |pbx, named, app| {
        let files = named["setup_files"].to_string();
        let url = files.split("uri = ").nth(1).unwrap().split("\\n").next().unwrap();
        // Nobody learns whether there is such an address, nor gets in by it alone.
        let elsewhere = format!("{url}x");
        assert_eq!(pbx.dials(&elsewhere, BASIC, app), Err(404));
        until(SOON, "who has no password is refused", || {
            (pbx.dials(url, "Basic cGJ4OnNlY3JldHM=", app) == Err(401)).then_some(())
        });
        opened = Some((url.to_owned(), app.to_owned()));
        until(SOON, "it is awaited", || pbx.dials(url, BASIC, app).ok());
    });
    let (caller, mut agent) = stage.talking_and_told();
    assert_eq!(agent.start["headers"]["X-Tenant"], "t-1", "{}", agent.start);
    hears_itself(&mut agent);
    // It is lost, and opened again; the call goes on.
    let (url, app) = opened.unwrap();
    stage.pbx.drop_sockets();
    stage.pbx.dials(&url, BASIC, &app).unwrap();
    stage.wait_listening(2);
    hears_itself(&mut agent);
    stage.pbx.hangs_up(&caller);
    assert_eq!(agent.event("stop")["by"], "caller");
    let call = stage.place("echo", "620");
    assert_eq!(stage.ended(&call)["cause"], "busy");
    stage.finish();
}
