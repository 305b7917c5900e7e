//! An agent that says its tone to whoever it talks with, and knows by theirs whom it hears.

use super::agent::{Agent, Agents};
use super::ear;
use super::server::{self, Server};
use super::wav;

/// The tone of the agent, in hertz.
pub const AGENT_HZ: f64 = 1000.0;
/// How much of a tone must be heard, in seconds: each side takes a moment to begin.
pub const HEARD_S: f64 = 1.5;
/// Frames of 20 ms after which it has been talked enough to judge it.
const ENOUGH: usize = 140;

/// A server whose calls are taken by an agent on a WebSocket called `bot`; `more` of its
/// configuration.
#[track_caller]
pub fn server(more: &str) -> (Server, Agents) {
    let agents = Agents::listen();
    (Server::start(&config(&agents, more)), agents)
}

/// The same on these ports, with files in this folder.
#[track_caller]
pub fn server_on(
    ports: super::ports::Ports,
    folder: std::path::PathBuf,
    more: &str,
) -> (Server, Agents) {
    let agents = Agents::listen();
    (Server::start_on(ports, folder, &config(&agents, more)), agents)
}

fn config(agents: &Agents, more: &str) -> String {
    let url = agents.url();
    format!(
        "{more}\n[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\n\
         format = {{ codec = \"PCMU\" }}\n"
    )
}

/// Says the agent's tone for so many tenths of a second.
#[track_caller]
pub fn say(agent: &mut Agent, tenths: usize) {
    agent.play(0, &wav::to_ulaw(&wav::sine(AGENT_HZ, 0.1)).repeat(tenths));
}

/// Waits for the agent of the next call, and until the call is answered; telephones may do that
/// before the agent is there.
#[track_caller]
pub fn answered(agents: &Agents) -> Agent {
    let mut agent = agents.accept();
    if agent.start["state"] != "answered" {
        agent.event("answered");
    }
    agent
}

/// Talks for some seconds from now on: the agent says its tone, and hears `hz` and nothing of its
/// own. The other side has heard [`AGENT_HZ`] then.
#[track_caller]
pub fn talk(agent: &mut Agent, hz: f64) {
    agent.order("answer");
    // It is refused, and comes behind all that was heard before.
    assert_eq!(agent.event("error")["code"], "not_allowed");
    let before = agent.frames.len();
    say(agent, 30);
    agent.wait_frames(before + ENOUGH);
    wav::assert_heard(&ear::samples(&agent.frames[before..]), hz, AGENT_HZ, HEARD_S);
}

/// A new folder with the certificate of an authority, and one of a server for `127.0.0.1` signed by
/// it; the lines of `[sip]` for TLS on `port`.
#[track_caller]
pub fn secured(port: u16) -> (std::path::PathBuf, std::path::PathBuf, String) {
    let (folder, authority) = (server::folder(), super::tls::Authority::new());
    authority.write_identity(&folder, "server", "127.0.0.1");
    let ca = authority.write(&folder);
    let lines = format!(
        "tls_listen = \"127.0.0.1:{port}\"\ntls_certificate = \"server.pem\"\n\
         tls_key = \"server.key\"\n"
    );
    (folder, ca, lines)
}
