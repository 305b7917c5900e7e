//! A proxy that we did not write is between us and a telephone that we did not write: registration
//! by Path, preset routes, Record-Route, and all that belongs to a call follows the route set
//! (RFC 3261 12.2, 16.12; RFC 3327).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use support::agent::{Agent, Agents};
use support::kamailio::{self, Kamailio};
use support::pjsua::{self, Pjsua, Setup};
use support::ports::Ports;
use support::server::{self, Server};
use support::talk::{self, AGENT_HZ, HEARD_S};
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

const ALICE: (&str, &str) = ("alice", "wonderland");

/// The server, its agent, the proxy in front of it, and what telephones need.
fn all() -> Option<(Server, Agents, Kamailio, PathBuf)> {
    let (modules, python) = (kamailio::installed()?, pjsua::installed()?);
    let ports = Ports::claim();
    let port = ports.pair();
    let config = format!(
        "[[users]]\nname = \"alice\"\npassword = \"wonderland\"\n\
         [[trunks]]\nname = \"edge\"\npeers = [\"127.0.0.1\"]\ntargets = [\"sip:far.invalid\"]\n\
         outbound_proxy = \"sip:127.0.0.1:{port};lr\"\n"
    );
    let (server, agents) = talk::server_on(ports, server::folder(), &config);
    let proxy = Kamailio::edge(&modules, port, server.sip);
    Some((server, agents, proxy, python))
}

/// Waits until so many requests of this kind, sent by who listens on `port`, have come by.
#[track_caller]
fn came_by(proxy: &Kamailio, method: &str, port: u16, count: usize) {
    let line = format!("within: {method} from 127.0.0.1:{port}\n");
    until(SOON, &line, || (proxy.log().matches(&*line).count() >= count).then_some(()));
}

/// Talks; holds and resumes from our side and from the telephone's, and talks again. All of that
/// came by the proxy.
#[track_caller]
fn talk_over_holds(server: &Server, proxy: &Kamailio, phone: &Pjsua, agent: &mut Agent) {
    let (ours, theirs) = (server.sip.port(), phone.port);
    talk::talk(agent, pjsua::HZ);
    agent.order("hold");
    came_by(proxy, "INVITE", ours, 1);
    phone.wait_for("held 0");
    agent.order("resume");
    came_by(proxy, "INVITE", ours, 2);
    phone.wait_for_times("media 0", 2);
    // A change while another is under way would be refused. Of a call that we placed we have
    // confirmed the answer, too.
    came_by(proxy, "ACK", ours, if agent.start["direction"] == "outbound" { 3 } else { 2 });
    phone.command("hold 0");
    came_by(proxy, "INVITE", theirs, 1);
    phone.wait_for_times("held 0", 2);
    phone.command("resume 0");
    came_by(proxy, "INVITE", theirs, 2);
    phone.wait_for_times("media 0", 3);
    talk::talk(agent, pjsua::HZ);
}

/// The telephone registers through the proxy and calls through it; it hangs up.
#[test]
fn telephone_calls_through_the_proxy() {
    let Some((server, agents, proxy, python)) = all() else { return };
    let setup = Setup { account: Some(ALICE), proxy: Some(proxy.port), ..Setup::default() };
    let phone = Pjsua::start(&python, &server, &setup);
    phone.wait_for("registered 200");
    phone.command(&format!("call {}", server.uri("bot")));
    let mut agent = talk::answered(&agents);
    talk_over_holds(&server, &proxy, &phone, &mut agent);
    phone.command("hangup 0");
    assert_eq!(agent.event("stop")["by"], "caller");
    came_by(&proxy, "BYE", phone.port, 1);
    wav::assert_heard(&phone.end(0), AGENT_HZ, pjsua::HZ, HEARD_S);
    server.wait_idle();
    server.stop();
}

/// The telephone is called by its name over the Path of its registration; we hang up.
#[test]
fn registered_telephone_is_called_over_its_path() {
    let Some((server, agents, proxy, python)) = all() else { return };
    let setup = Setup { account: Some(ALICE), proxy: Some(proxy.port), ..Setup::default() };
    let phone = Pjsua::start(&python, &server, &setup);
    phone.wait_for("registered 200");
    server.place("alice", "bot");
    let mut agent = talk::answered(&agents);
    proxy.wait_for(&format!("routed: INVITE from 127.0.0.1:{}", server.sip.port()));
    talk_over_holds(&server, &proxy, &phone, &mut agent);
    agent.say(&json!({ "event": "hangup", "after": "now" }));
    agent.event("stop");
    came_by(&proxy, "BYE", server.sip.port(), 1);
    phone.wait_for("call 0 disconnected 200");
    wav::assert_heard(&phone.end(0), AGENT_HZ, pjsua::HZ, HEARD_S);
    server.wait_idle();
    server.stop();
}

/// A call through the trunk's outbound proxy, to somewhere behind it.
#[test]
fn telephone_is_called_over_a_preset_route() {
    let Some((server, agents, proxy, python)) = all() else { return };
    let phone = Pjsua::start(&python, &server, &Setup::default());
    let wanted = json!({ "to": phone.uri, "trunk": "edge", "agent": "bot" });
    let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
    assert_eq!(status, 201, "{body}");
    let mut agent = talk::answered(&agents);
    proxy.wait_for(&format!("routed: INVITE from 127.0.0.1:{}", server.sip.port()));
    talk_over_holds(&server, &proxy, &phone, &mut agent);
    phone.command("hangup 0");
    assert_eq!(agent.event("stop")["by"], "caller");
    came_by(&proxy, "BYE", phone.port, 1);
    phone.end(0);
    server.wait_idle();
    server.stop();
}
