//! Two who talk through the server: a caller with a telephone, or with an agent. What each says is
//! known byte for byte.

use std::time::Duration;

use super::agent::{Agent, Agents};
use super::callee::Callee;
use super::phone::{Codec, Phone};
use super::server::Server;
use super::{until, wav};

const SOON: Duration = Duration::from_secs(15);
/// Packets of sound after which a message, of tones and pauses, has been heard over and over.
const MESSAGE_PACKETS: usize = 12;
/// Samples of the last second.
const SECOND: usize = 8_000;
/// The amplitude of a tone that is heard and not merely guessed, in samples.
const TONE: f64 = 5_000.0;

/// A server whose agent `desk` is the telephone `callee`; `more` of its configuration.
#[track_caller]
pub fn at_desk(callee: &Callee, more: &str) -> Server {
    let uri = callee.uri();
    Server::start(&format!(
        "{more}\n[[agents]]\nname = \"desk\"\nkind = \"sip\"\nuri = \"{uri}\"\n"
    ))
}

/// A server whose agent `bot` takes every call; `more` of its configuration, and further keys of
/// the route.
#[track_caller]
pub fn by_bot(agents: &Agents, more: &str, route: &str) -> Server {
    let url = agents.url();
    Server::start(&format!(
        "{more}\n[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\n\
         [[routes]]\nto = \"*\"\nagent = \"bot\"\n{route}\n"
    ))
}

/// A caller that talks with the agent `bot`, and the id of the call.
#[track_caller]
pub fn begin(server: &Server, agents: &Agents) -> (Phone, Agent, String) {
    let mut caller = Phone::call(server, "bot");
    let agent = agents.accept();
    caller.wait_answer();
    let id = agent.start["call_id"].as_str().unwrap().to_owned();
    (caller, agent, id)
}

/// A call of a phone that speaks `codec` with the agent `bot`, which knows that it is answered: the
/// server has these `codecs`, the agent's entry has `more`, and `rest` follows it.
#[track_caller]
pub fn connected(
    codecs: &[&str],
    codec: Codec,
    (more, rest): (&str, &str),
) -> (Server, Phone, Agent) {
    let agents = Agents::listen();
    let url = agents.url();
    let server = Server::start(&format!(
        "[sip]\ncodecs = {codecs:?}\n\
         [[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\n{more}\n{rest}\n"
    ));
    let mut phone = Phone::call_in(server.sip, "bot", "", codec);
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    (server, phone, agent)
}

/// The phone hangs up, which its agent is told; the server ends well.
#[track_caller]
pub fn part(server: Server, mut phone: Phone, mut agent: Agent) {
    phone.hang_up();
    assert_eq!(agent.event("stop")["by"], "caller");
    server.finish();
}

/// 20 ms that nobody else says.
pub fn sound(n: u8) -> [u8; 160] {
    std::array::from_fn(|at| (at as u8).wrapping_mul(7) ^ n)
}

/// Both say numbered packets until both have heard some of the other's.
#[track_caller]
pub fn talk(caller: &mut Phone, callee: &mut Callee, n: u8) {
    let (mine, yours) = (sound(n), sound(n ^ 0x80));
    let mut heard = false;
    until(SOON, "both ways", || {
        caller.send(&mine, false);
        callee.say(&yours);
        heard |= callee.hear().is_some_and(|packet| packet.payload == mine);
        let all = caller.packets();
        (heard && all.iter().any(|packet| packet.payload == yours)).then_some(())
    });
}

/// Caller and agent hear each other, byte for byte.
#[track_caller]
pub fn talk_with_agent(caller: &mut Phone, agent: &mut Agent, n: u8) {
    let (mine, yours) = (sound(n), sound(n ^ 0x80));
    until(SOON, "both ways", || {
        agent.play(0, &yours);
        caller.send(&mine, false);
        agent.look();
        let heard = agent.frames.iter().any(|frame| frame.payload == mine);
        (heard && caller.audio().windows(160).any(|window| window == yours)).then_some(())
    });
}

/// Waits until the caller has heard a tone for a second from now.
#[track_caller]
pub fn hears_tone(caller: &Phone, hz: f64) {
    let from = caller.audio().len();
    caller.wait_audio("a tone", |audio| {
        let new: Vec<i16> = audio[from..].iter().map(|code| wav::ulaw(*code)).collect();
        let last = &new[new.len().saturating_sub(SECOND)..];
        (last.len() >= SECOND && wav::amplitude(last, hz) > TONE).then_some(())
    });
}

/// Waits until a telephone has heard the message that whoever answers is told.
#[track_caller]
pub fn wait_message(callee: &Callee) {
    let mut heard = 0;
    until(SOON, "the message", || {
        let packet = callee.hear()?;
        heard += usize::from(packet.payload.iter().any(|code| *code != 0xff));
        (heard > MESSAGE_PACKETS).then_some(())
    });
}
