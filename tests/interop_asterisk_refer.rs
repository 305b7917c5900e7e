//! A telephone at a real Asterisk transfers its own leg of an agent's call: the agent stays, in the
//! same call and the same stream, and talks with whoever is there then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use support::agent::Agent;
use support::api_carrier::expect;
use support::ari_stage::{SOON, Stage, Wish, begin, call_of};
use support::pbx::samples;
use support::phone::Phone;
use support::{until, wav};

/// The tone behind extension 601, in hertz.
const MILLIWATT_HZ: f64 = 1_004.0;
/// Transfers of this extension are left to the application.
const LEFT_TO_US: &str = "exten => 797,1,Set(PJSIP_TRANSFER_HANDLING()=ari-only)\n\
                          exten => 797,2,Stasis(talkpath-test,700)\n";

/// A telephone that talks with the agent.
#[track_caller]
fn talks(stage: &Stage, extension: &str) -> (Phone, Agent) {
    let mut phone = Phone::call_at(stage.asterisk.sip, extension, "");
    let mut agent = stage.agent();
    phone.wait_answer();
    hears(&mut phone, &mut agent, 700.0);
    (phone, agent)
}

/// The telephone says a tone, and the agent hears it.
#[track_caller]
fn hears(phone: &mut Phone, agent: &mut Agent, hz: f64) {
    phone.speak(&wav::to_ulaw(&wav::sine(hz, 1.5)));
    agent_hears(agent, hz);
}

/// From now on the agent hears a tone for half a second, however loud, and nothing else.
#[track_caller]
fn agent_hears(agent: &mut Agent, hz: f64) {
    let before = agent.frames.len();
    let is_tone = |part: &[i16]| {
        let power = part.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        let power = power / part.len() as f64;
        let tone = wav::amplitude(part, hz).powi(2) / 2.0;
        power > 1e6 && tone > 0.9 * power
    };
    until(SOON, "the agent hears it", || {
        agent.look();
        let heard = agent.frames[before..].iter().flat_map(|it| it.payload.clone());
        let heard = samples(&heard.collect::<Vec<u8>>());
        heard.windows(4_000).step_by(400).any(is_tone).then_some(())
    });
}

/// The types of what is in the log of a call.
#[track_caller]
fn log(stage: &Stage, call: &str) -> Vec<String> {
    let path = format!("/api/v1/calls/{call}/events");
    let events = expect(&stage.server, 200, "GET", &path, None);
    let types = events["items"].as_array().unwrap().iter();
    types.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// The telephone hears that it is transferred, and hangs up, as Asterisk expects it to.
#[track_caller]
fn leaves(phone: &mut Phone) {
    while !phone.wait_request("NOTIFY").contains("SIP/2.0 200") {}
    phone.hang_up();
}

/// The call goes on with somebody else, and there is no other.
#[track_caller]
fn goes_on(stage: &Stage, phone: &mut Phone, call: &str) {
    leaves(phone);
    until(SOON, "the log tells it", || {
        log(stage, call).iter().any(|kind| kind.ends_with("replaced")).then_some(())
    });
    let calls = stage.server.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0]["id"], *call);
    assert!(stage.agents.try_accept().is_none(), "no other agent is dialled");
}

/// A REFER to an extension: the agent talks with that, digits go there, and when the agent hangs up
/// nothing is left; when it is the extension that hangs up the call is over.
#[test]
fn a_blind_transfer() {
    let Some(stage) = begin(&Wish::default()) else { return };
    let (mut phone, mut agent) = talks(&stage, "700");
    let call = call_of(&agent);
    phone.refer(&format!("sip:601@{}", stage.asterisk.sip));
    goes_on(&stage, &mut phone, &call);
    agent_hears(&mut agent, MILLIWATT_HZ);
    agent.order("hangup");
    assert_eq!(agent.event("stop")["by"], "agent");
    stage.server.wait_idle();
    stage.asterisk.wait_idle();

    let (mut phone, mut agent) = talks(&stage, "700");
    let call = call_of(&agent);
    phone.refer(&format!("sip:605@{}", stage.asterisk.sip));
    goes_on(&stage, &mut phone, &call);
    let stop = agent.event("stop");
    assert_eq!((&stop["by"], &stop["cause"]), (&"caller".into(), &"normal".into()), "{stop}");
    stage.finish();
}

/// A transfer that Asterisk leaves to the application is declined, and the telephone goes on.
#[test]
fn a_transfer_that_is_left_to_us() {
    let wish = Wish { extensions_more: LEFT_TO_US.to_owned(), ..Wish::default() };
    let Some(stage) = begin(&wish) else { return };
    let (mut phone, mut agent) = talks(&stage, "797");
    phone.refer(&format!("sip:601@{}", stage.asterisk.sip));
    let mut told = phone.wait_request("NOTIFY");
    while told.contains("SIP/2.0 1") {
        told = phone.wait_request("NOTIFY");
    }
    let told = told.split("\r\n\r\n").nth(1).unwrap().to_owned();
    assert!(told.contains("603") || told.contains("503"), "{told}");
    hears(&mut phone, &mut agent, 900.0);
    phone.hang_up();
    assert_eq!(agent.event("stop")["by"], "caller");
    stage.finish();
}
