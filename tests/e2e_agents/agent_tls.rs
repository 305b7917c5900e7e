//! Agents over TLS: reached if their certificate is good, never spoken to if it is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use support::agent::Agents;
use support::phone::{Phone, header};
use support::ports::Ports;
use support::server::{self, Server};
use support::tls::Authority;

/// How long a good agent may take to be reached, in milliseconds: it is there in no time, but for a
/// busy machine.
const REACHED_MS: u32 = 20_000;
/// How long a bad one is tried for: each try fails at once.
const TRIED_MS: u32 = 2_000;

/// A server that trusts `trusted` and whose agent is at `url`.
fn server(url: &str, trusted: &Authority, connect_timeout_ms: u32) -> Server {
    let folder = server::folder();
    let roots = trusted.write(&folder);
    let config = format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\n\
         connect_timeout_ms = {connect_timeout_ms}\n"
    );
    let roots = [("SSL_CERT_FILE", roots.to_str().unwrap())];
    Server::start_with(Ports::claim(), folder, &config, &roots)
}

/// Audio flows both ways over TLS, unchanged, more of it than one record holds; the end is clean.
#[test]
fn agent_with_a_good_certificate() {
    let authority = Authority::new();
    let agents = Agents::listen_tls(authority.server("localhost"));
    let server = server(&agents.url(), &authority, REACHED_MS);
    let mut phone = Phone::call(&server, "bot");
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    let audio: Vec<u8> = (0..40_000_u32).map(|index| (index * 7 % 126) as u8).collect();
    agent.play(0, &audio);
    phone.speak(&[0x30; 1_600]);
    agent.wait_frames(10);
    assert!(agent.frames.iter().all(|frame| frame.payload == [0x30; 160]));
    phone.wait_audio("five seconds of the agent", |heard| {
        heard.windows(audio.len()).any(|window| window == audio).then_some(())
    });
    phone.hang_up();
    assert_eq!(agent.event("stop")["cause"], "normal");
    assert_eq!(agent.wait_close(), 1000);
    server.wait_idle();
    server.stop();
}

/// Certificates of a stranger, or for another name: the agent is not reached, the caller is refused
/// and the log says why.
#[test]
fn agent_with_a_bad_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for tls in [stranger.server("localhost"), authority.server("agent.invalid")] {
        let agents = Agents::listen_tls(tls);
        let url = agents.url().replace("agent.invalid", "localhost");
        let server = server(&url, &authority, TRIED_MS);
        let mut phone = Phone::call(&server, "bot");
        // The handshake fails before anything is said.
        assert!(agents.wait_refused(), "spoken to in spite of its certificate");
        let refusal = phone.wait_refusal(480);
        assert!(header(&refusal, "Reason").contains("agent_unreachable"), "{refusal}");
        assert!(server.log().contains("certificate"), "{}", server.log());
        server.wait_idle();
        server.stop();
    }
}
