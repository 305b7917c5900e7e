//! What a call costs by each way that the audio of an Asterisk travels, beside plain SIP, in one
//! run.
//!
//! `cargo test --release --test interop_asterisk_cost -- --ignored --nocapture` prints a table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use support::api_carrier::expect;
use support::ari_stage::{CONFIGS, SOON};
use support::asterisk::{self, Asterisk, Settings};
use support::ports::Ports;
use support::server::{Server, folder};
use support::until;

/// Ways of the dialplan: a name, the extension, and the format of the channel that enters it.
const DIALPLAN: [(&str, &str, &str); 3] = [
    ("SIP", "9123", "ulaw"),
    ("AudioSocket (dialplan)", "800", "slin"),
    ("media WebSocket (dialplan)", "810", "ulaw"),
];
/// Ways of the REST interface: a name, the value of `media`, and the format.
const ARI: [(&str, &str, &str); 4] = [
    ("ARI, RTP", "rtp", "ulaw"),
    ("ARI, WebSocket that Asterisk opens", "websocket_client", "ulaw"),
    ("ARI, WebSocket that we open", "websocket_server", "ulaw"),
    ("ARI, AudioSocket", "audiosocket", "slin"),
];

/// How much is measured.
struct Load {
    calls: usize,
    seconds: u64,
    rounds: usize,
}

/// A way in, ready to be called.
struct Way {
    name: &'static str,
    extension: String,
    format: &'static str,
    /// Percent of a core a call, of the server and of Asterisk, in each round.
    costs: Vec<(f64, f64)>,
}

/// Time that a process has had on the processors, in milliseconds.
fn cpu_ms(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks * 10
}

/// Time that the host has taken from this machine, and all time, in ticks.
fn stolen() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let line = stat.lines().next().unwrap().split_whitespace().skip(1);
    let ticks: Vec<u64> = line.map(|field| field.parse().unwrap()).collect();
    (ticks.get(7).copied().unwrap_or(0), ticks.iter().take(8).sum())
}

/// A server with a way in for each transport, and the Asterisk that calls it.
#[track_caller]
fn ways() -> Option<(Server, Asterisk, Vec<Way>)> {
    asterisk::installed()?;
    let ports = Ports::claim();
    let door: SocketAddr = ([127, 0, 0, 1], ports.pair()).into();
    let config = format!(
        "[audiosocket]\nlisten = \"{door}\"\n[[agents]]\nname = \"tone\"\nkind = \"builtin\"\n\
         builtin = \"tone\"\n[[routes]]\nto = \"*\"\nagent = \"tone\"\n"
    );
    let server = Server::start_on(ports, folder(), &config);
    // The dialplan's sockets bring who is called, those of the REST interface the token of a call.
    let asterisk = Asterisk::start(&Settings {
        audiosocket: door,
        media_uri: format!("ws://{}/api/v1/media", server.http),
        sip_peer: server.sip,
        clients_more: format!(
            "\n[of_calls]\ntype = websocket_client\nconnection_type = per_call_config\n\
             uri = ws://{}/api/v1/telephony/ws/ari\nprotocols = media\n",
            server.http
        ),
        ..Settings::default()
    })?;
    let mut ways: Vec<Way> = DIALPLAN
        .iter()
        .map(|(name, extension, format)| {
            let (extension, costs) = ((*extension).to_owned(), Vec::new());
            Way { name, extension, format, costs }
        })
        .collect();
    let all = expect(&server, 200, "GET", "/api/v1/agents", None);
    let tone = all["items"].as_array().unwrap().iter().find(|it| it["name"] == "tone").unwrap();
    let mut lines = String::new();
    for (index, (name, media, format)) in ARI.iter().enumerate() {
        let extension = format!("20{index}");
        let fields = json!({
            "provider": "ari", "ari_url": asterisk.ari_url(), "username": asterisk.user,
            "password": asterisk.password, "endpoint": "Local/{number}@test", "media": media,
            "format": format, "ws_client": "of_calls",
        });
        let wanted = json!({"name": media, "config": fields});
        let made = expect(&server, 201, "POST", CONFIGS, Some(wanted));
        let path = format!("{CONFIGS}/{}", made["id"].as_str().unwrap());
        let named = expect(&server, 200, "POST", &format!("{path}/provision"), None);
        let app = named["credentials"]["app"].as_str().unwrap().to_owned();
        let wanted = json!({"address": extension, "inbound_agent_id": tone["id"]});
        expect(&server, 201, "POST", &format!("{path}/phone-numbers"), Some(wanted));
        lines.push_str(&format!("exten => {extension},1,Stasis({app},{extension})\n"));
        until(SOON, "the application is there", || {
            let (status, app) = asterisk.ari("GET", &format!("/applications/{app}"));
            let limited = app["events_disallowed"].as_array().is_some_and(|it| !it.is_empty());
            (status == 200 && limited).then_some(())
        });
        ways.push(Way { name, extension, format, costs: Vec::new() });
    }
    let file = asterisk.etc().join("extensions.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n{lines}")).unwrap();
    asterisk.cli("dialplan reload");
    Some((server, asterisk, ways))
}

/// One way, once: calls with an echo behind them and a tone towards it, so that there is sound both
/// ways.
#[track_caller]
fn measure(server: &Server, asterisk: &Asterisk, way: &mut Way, load: &Load) {
    for _ in 0..load.calls {
        asterisk.connect("Local/600@test", &way.extension, way.format);
    }
    until(SOON, "all calls are answered", || {
        let calls = server.calls();
        let answered = calls.iter().filter(|call| call["state"] == "answered").count();
        (answered == load.calls).then_some(())
    });
    let pids = [server.pid(), asterisk.pid()];
    let before = pids.map(cpu_ms);
    std::thread::sleep(Duration::from_secs(load.seconds));
    let after = pids.map(cpu_ms);
    let percent = |at: usize| {
        (after[at] - before[at]) as f64 / (load.calls as u64 * load.seconds * 10) as f64
    };
    way.costs.push((percent(0), percent(1)));
    asterisk.cli("channel request hangup all");
    server.wait_idle();
    asterisk.wait_idle();
}

fn median(costs: &[(f64, f64)], of: fn(&(f64, f64)) -> f64) -> f64 {
    let mut all: Vec<f64> = costs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Measures every way in turn, several times, and prints what they cost; the costs of the server.
fn table(load: &Load) -> Option<Vec<f64>> {
    let (server, asterisk, mut ways) = ways()?;
    let began = stolen();
    for _ in 0..load.rounds {
        for way in &mut ways {
            measure(&server, &asterisk, way, load);
        }
    }
    let ended = stolen();
    let share = (ended.0 - began.0) as f64 * 100.0 / (ended.1 - began.1).max(1) as f64;
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!(
        "{build} build, {} calls, {} rounds of {} s, Asterisk {}, {share:.1} % stolen by the host",
        load.calls,
        load.rounds,
        load.seconds,
        asterisk.version()
    );
    println!("% of a core a call           {:>24} {:>8} {:>10}", "server", "to SIP", "Asterisk");
    let costs: Vec<f64> = ways.iter().map(|way| median(&way.costs, |cost| cost.0)).collect();
    for (way, cost) in ways.iter().zip(&costs) {
        let theirs = median(&way.costs, |cost| cost.1);
        let ratio = cost / costs[0].max(f64::MIN_POSITIVE);
        println!("{:<44} {cost:>9.3} {ratio:>8.2} {theirs:>10.3}", way.name);
    }
    server.stop();
    Some(costs)
}

/// No way costs several times as much as another.
#[test]
fn no_way_costs_much_more() {
    let load = Load { calls: 20, seconds: 4, rounds: 1 };
    let Some(costs) = table(&load) else { return };
    let least = costs.iter().copied().fold(f64::MAX, f64::min).max(0.05);
    assert!(costs.iter().all(|cost| *cost < 6.0 * least), "{costs:?}");
}

/// The table for people: in a release build, on a machine that does nothing else.
#[test]
#[ignore = "measures for minutes; of use in a release build"]
fn what_calls_cost() {
    table(&Load { calls: 50, seconds: 5, rounds: 3 });
}
