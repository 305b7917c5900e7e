//! A real Asterisk and what is asked of it beside plain calls: which way audio travels, what calls
//! carry, transfers, and a socket of events that it opens itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use serde_json::{Value, json};
use support::agent::Agent;
use support::api_carrier::expect;
use support::ari_stage::{self, CONFIGS, SOON, Stage, Wish, begin, call_of, hears_itself};
use support::asterisk::{self, Asterisk, Settings};
use support::until;

/// Numbers of the telephone network lead to extensions: transfers that are joined go to such.
const NUMBERS: &str = "exten => _+1555.,1,Goto(${EXTEN:-3},1)\n";

/// Waits until the agent is told that its transfer is that far; the event.
#[track_caller]
fn transfer_is(agent: &mut Agent, wanted: &str) -> Value {
    until(SOON, wanted, || {
        let event = agent.event("transfer");
        (event["state"] == wanted).then_some(event)
    })
}

/// Where the configuration leaves the way open it is the best that runs there and carries the
/// format, as the test of the credentials tells; calls go by it.
#[test]
fn the_best_way_is_found() {
    for (fields, console, rate_hz, hz, way) in [
        (json!({"format": "slin16"}), vec![], 16_000, 5_200.0, "websocket_server"),
        (json!({}), vec!["module unload chan_rtp.so"], 8_000, 1_000.0, "websocket_server"),
        (
            json!({}),
            vec!["module unload chan_rtp.so", "module unload chan_websocket.so"],
            8_000,
            1_000.0,
            "audiosocket",
        ),
    ] {
        let wish = Wish { fields, rate_hz, console, ..Wish::default() };
        let Some(stage) = begin(&wish) else { return };
        let found = &stage.tried()["found"];
        assert_eq!(found["audio"], way, "{found}");
        let version = stage.asterisk.version();
        assert!(found["version"].as_str().unwrap().starts_with(&version), "{found}");
        let (_, mut agent) = stage.calls_in("600", "slin16");
        hears_itself(&mut agent, rate_hz, hz);
        agent.order("hangup");
        agent.event("stop");
        stage.finish();
    }
}

/// Headers that a call is placed with are on the wire of SIP, and its variables on the channel;
/// others stay here.
#[test]
fn headers_and_variables_go_out() {
    let wish = Wish {
        fields: json!({
            "media": "rtp", "format": "ulaw", "endpoint": "PJSIP/{number}@testua",
            "headers_out": ["User-to-User", "X-Tenant"], "variables_out": ["CALLERID(name)"],
        }),
        more: "[[trunks]]\nname = \"back\"\npeers = [\"127.0.0.1\"]\n\
               headers = [\"User-to-User\", \"X-Tenant\"]\n\
               [[routes]]\ntrunk = \"back\"\nto = \"*\"\nagent = \"bot\"\n"
            .to_owned(),
        ..Wish::default()
    };
    let Some(stage) = begin(&wish) else { return };
    let wanted = |headers: Value| {
        json!({
            "to": "9001", "agent": "echo", "telephony_configuration_id": stage.configuration,
            "from": "+4930123456", "headers": headers,
            "variables": {"CALLERID(name)": "Ann Other", "SECRET": "kept"},
        })
    };
    let refused = wanted(json!({"X-Other": "1"}));
    let (status, said) = stage.server.http("POST", "/api/v1/calls", Some(&refused));
    assert!(status == 422 || status == 400, "{status} {said}");
    assert!(said.contains("headers_out"), "{said}");
    let uui = "00a1b2;encoding=hex";
    let call = wanted(json!({"user-to-user": uui, "X-Tenant": "t-1"}));
    expect(&stage.server, 201, "POST", "/api/v1/calls", Some(call));
    let mut agent = stage.agent();
    assert_eq!(agent.start["headers"]["User-to-User"], uui, "{}", agent.start);
    assert_eq!(agent.start["headers"]["X-Tenant"], "t-1");
    let channels = stage.asterisk.ari("GET", "/channels").1;
    let named =
        channels.as_array().unwrap().iter().any(|it| {
            it["caller"]["name"] == "Ann Other" || it["connected"]["name"] == "Ann Other"
        });
    assert!(named, "{channels}");
    agent.order("hangup");
    agent.event("stop");
    stage.finish();
}

/// A call is handed to somebody whom Asterisk calls: the caller is left with them, and when one
/// hangs up nothing is left. Who is busy is told, and the caller stays with the agent.
#[test]
fn handed_over() {
    for media in ["rtp", "websocket_server"] {
        let wish = Wish { fields: json!({"media": media, "format": "ulaw"}), ..Wish::default() };
        let Some(stage) = begin(&wish) else { return };
        let (caller, mut agent) = stage.calls_in("600", "ulaw");
        // Nobody is free there, twice: each time a leg of its own.
        for _ in 0..2 {
            stage.transfer(&agent, &json!({"kind": "blind", "destination": "620"}));
            assert_eq!(transfer_is(&mut agent, "failed")["cause"], "busy", "{media}");
        }
        hears_itself(&mut agent, 8_000, 1_000.0);
        stage.transfer(&agent, &json!({"kind": "blind", "destination": "604"}));
        transfer_is(&mut agent, "bridged");
        agent.event("stop");
        stage.server.wait_idle();
        assert_eq!(stage.asterisk.bridges(), 1, "the two are together");
        assert_eq!(stage.asterisk.ari("DELETE", &format!("/channels/{caller}")).0, 204);
        stage.finish();
    }
}

/// The destination is called while the caller talks on, and joined with it once it answered; one
/// that is given up while it rings is let go, and the caller talks on.
#[test]
fn joined_once_it_answered() {
    let wish = Wish { extensions_more: NUMBERS.to_owned(), ..Wish::default() };
    let Some(stage) = begin(&wish) else { return };
    let (caller, mut agent) = stage.calls_in("600", "ulaw");
    let join = |to: &str| json!({"kind": "bridge", "destination": format!("+15550000{to}")});
    stage.transfer(&agent, &join("620"));
    assert_eq!(transfer_is(&mut agent, "failed")["cause"], "busy");
    let before = stage.asterisk.channels();
    stage.transfer(&agent, &join("606"));
    transfer_is(&mut agent, "dialling");
    until(SOON, "it rings", || (stage.asterisk.channels() > before).then_some(()));
    stage.transfer(&agent, &json!({"kind": "cancel"}));
    transfer_is(&mut agent, "cancelled");
    until(SOON, "it is let go", || (stage.asterisk.channels() == before).then_some(()));
    hears_itself(&mut agent, 8_000, 1_000.0);
    stage.transfer(&agent, &join("604"));
    transfer_is(&mut agent, "bridged");
    agent.event("stop");
    stage.server.wait_idle();
    assert_eq!(stage.asterisk.bridges(), 1, "the two are together");
    assert_eq!(stage.asterisk.ari("DELETE", &format!("/channels/{caller}")).0, 204);
    stage.finish();
}

/// What of a file of the set-up is behind this line.
fn behind<'t>(files: &'t Value, file: &str, line: &str) -> &'t str {
    let all = files.as_array().unwrap();
    let text = all.iter().find(|it| it["file"] == file).unwrap()["text"].as_str().unwrap();
    &text[text.find(line).unwrap()..]
}

/// Asterisk opens the socket of events, set up by the lines that the configuration shows, and is
/// asked over it: nothing reaches its REST interface. Calls come in and go out, with variables; it
/// is killed, and comes back.
#[test]
fn asterisk_opens_the_socket() {
    if asterisk::installed().is_none() {
        return;
    }
    let (server, agents) = ari_stage::server(8_000, "");
    // Nobody is there.
    let fields = json!({
        "provider": "ari", "ari_url": "http://127.0.0.1:9", "username": "talkpath",
        "password": "test-secret", "endpoint": "Local/{number}@test", "events": "outbound",
        "media": "rtp", "format": "ulaw", "variables": ["CALLERID(num)"],
        "variables_out": ["CALLERID(name)"],
    });
    let (configuration, app) = ari_stage::configure(&server, &fields);
    let path = format!("{CONFIGS}/{configuration}");
    let files = expect(&server, 200, "GET", &path, None)["setup_files"].clone();
    let clients = behind(&files, "websocket_client.conf", "[talkpath-events]");
    let settings = Settings {
        app: app.clone(),
        ari_more: format!("\n{}", behind(&files, "ari.conf", "[talkpath-events]")),
        clients_more: clients.replace("THE-PASSWORD-ENTERED-HERE", "test-secret"),
        ..Settings::default()
    };
    let Some(asterisk) = Asterisk::start(&settings) else { return };
    let mut stage = Stage { asterisk, server, agents, configuration, app };
    stage.wait_listening();
    let found = stage.tried();
    assert_eq!((&found["ok"], &found["found"]["audio"]), (&json!(true), &json!("rtp")), "{found}");
    for restart in [true, false] {
        let (_, mut agent) = stage.calls_in("600", "ulaw");
        assert_eq!(agent.start["headers"]["CALLERID(num)"], "+15550001234", "{}", agent.start);
        hears_itself(&mut agent, 8_000, 1_000.0);
        stage.hang_up(&call_of(&agent));
        agent.event("stop");
        let wanted = json!({
            "to": "600", "agent": "bot", "telephony_configuration_id": stage.configuration,
            "variables": {"CALLERID(name)": "Ann, \"Other\""},
        });
        let call = expect(&stage.server, 201, "POST", "/api/v1/calls", Some(wanted));
        let mut agent = stage.agent();
        let said = stage.asterisk.ari("GET", "/channels").1.to_string();
        assert!(said.contains("Ann, \\\"Other\\\""), "{said}");
        hears_itself(&mut agent, 8_000, 1_000.0);
        if restart {
            stage.asterisk.kill();
            stage.asterisk.start_again();
            let ended = stage.ended(call["id"].as_str().unwrap());
            assert_eq!(ended["cause"], "network_failure", "{ended}");
            stage.wait_listening();
        } else {
            agent.order("hangup");
            agent.event("stop");
        }
    }
    stage.finish();
}
