//! Attended transfers between telephones of two makers (RFC 5589 7, RFC 3891): whoever asks, and
//! whoever is asked, those who are joined hear each other, each known by its tone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use serde_json::json;

use support::agent::{Agent, Agents};
use support::linphone::{self, Linphone};
use support::pjsua::{self, Pjsua};
use support::server::Server;
use support::talk::{self, AGENT_HZ, HEARD_S};
use support::wav;

/// Where the telephones are: they may transfer to each other.
const PBX: &str = "[[trunks]]\nname = \"pbx\"\npeers = [\"127.0.0.1\", \"127.1.0.0/16\"]\n";

/// The server, its agent, and both telephones; none without them.
fn all() -> Option<(Server, Agents, Linphone, Pjsua)> {
    linphone::installed()?;
    let python = pjsua::installed()?;
    let (server, agents) = talk::server(PBX);
    let linphone =
        Linphone::start(&server, &linphone::Setup { codec: "PCMU", ..Default::default() });
    // linphone tells whom it talks with by name and host alone.
    let pjsua = Pjsua::start(&python, &server, &pjsua::Setup { alone: true, ..Default::default() });
    Some((server, agents, linphone, pjsua))
}

/// linphone calls, and talks with the agent.
#[track_caller]
fn linphone_talks(server: &Server, agents: &Agents, linphone: &mut Linphone) -> Agent {
    linphone.command(&format!("call {}", server.uri("bot")));
    let mut agent = talk::answered(agents);
    talk::talk(&mut agent, linphone::HZ);
    agent
}

/// PJSIP calls, talks with the agent, puts it on hold, and talks with linphone.
#[track_caller]
fn pjsip_has_both(server: &Server, agents: &Agents, linphone: &Linphone, pjsua: &Pjsua) -> Agent {
    pjsua.command(&format!("call {}", server.uri("bot")));
    let mut agent = talk::answered(agents);
    talk::talk(&mut agent, pjsua::HZ);
    pjsua.command("hold 0");
    pjsua.wait_for("held 0");
    pjsua.command(&format!("call sip:linphone@127.0.0.1:{}", linphone.port));
    pjsua.wait_for("media 1");
    agent
}

/// Those who were joined by PJSIP talk, and nothing is left of anything.
#[track_caller]
fn end_without_pjsip((server, mut agent): (Server, Agent), linphone: Linphone, pjsua: Pjsua) {
    talk_and_end(&server, &mut agent, linphone::HZ);
    pjsua.end(0);
    linphone.end();
    server.stop();
}

/// The agent talks with `hz` now, says goodbye, and nothing is left.
#[track_caller]
fn talk_and_end(server: &Server, agent: &mut Agent, hz: f64) {
    talk::talk(agent, hz);
    assert_eq!(server.calls().len(), 1);
    agent.say(&json!({ "event": "hangup", "after": "now" }));
    assert_eq!(agent.event("stop")["cause"], "normal");
    server.wait_idle();
}

/// linphone talks with the agent, then with PJSIP, and joins them by asking the server: the server
/// calls PJSIP in its place. The agent goes on in its stream and talks with PJSIP.
#[test]
fn linphone_joins_us_with_pjsip() {
    let Some((server, agents, mut linphone, pjsua)) = all() else { return };
    let mut agent = linphone_talks(&server, &agents, &mut linphone);
    linphone.command("pause");
    linphone.wait_for("paused.");
    linphone.command(&format!("call {}", pjsua.uri));
    linphone.wait_for("for call 2 (audio)");
    linphone.command("transfer 1 --to-call 2");
    pjsua.wait_for("replaced 0");
    pjsua.wait_for("media 1");
    talk_and_end(&server, &mut agent, pjsua::HZ);
    wav::assert_heard(&pjsua.end(1), AGENT_HZ, pjsua::HZ, HEARD_S);
    linphone.end();
    server.stop();
}

/// The same by PJSIP, and linphone is joined with.
#[test]
fn pjsip_joins_us_with_linphone() {
    let Some((server, agents, linphone, pjsua)) = all() else { return };
    let agent = pjsip_has_both(&server, &agents, &linphone, &pjsua);
    pjsua.command("join 0 1");
    pjsua.wait_for("transfer 0 200");
    pjsua.wait_for("call 0 disconnected 200");
    end_without_pjsip((server, agent), linphone, pjsua);
}

/// PJSIP talks with the agent and with linphone, and asks linphone to take its place: linphone
/// calls the server with Replaces, and the agent goes on with it.
#[test]
fn linphone_takes_the_place_of_pjsip() {
    let Some((server, agents, linphone, pjsua)) = all() else { return };
    let agent = pjsip_has_both(&server, &agents, &linphone, &pjsua);
    pjsua.command("join 1 0");
    pjsua.wait_for("call 0 disconnected 200");
    end_without_pjsip((server, agent), linphone, pjsua);
}

/// Both telephones talk with an agent each; one agent joins its caller with the other's: PJSIP is
/// asked to call linphone in the server's place, and they hear each other.
#[test]
fn an_agent_joins_two_telephones() {
    let Some((server, agents, mut linphone, pjsua)) = all() else { return };
    let mut other = linphone_talks(&server, &agents, &mut linphone);
    pjsua.command(&format!("call {}", server.uri("bot")));
    let mut agent = talk::answered(&agents);
    let options = json!({ "call_id": other.start["call_id"] });
    agent.say(&json!({ "event": "transfer", "kind": "attended", "options": options }));
    assert_eq!(agent.event("stop")["cause"], "transferred");
    other.event("stop");
    server.wait_idle();
    pjsua.wait_for("media 1");
    pjsua.wait_heard(1, 3);
    wav::assert_heard(&pjsua.end(1), linphone::HZ, pjsua::HZ, HEARD_S);
    linphone.end();
    server.stop();
}
