//! `talkpath bench`: latency, density and set-up of a server that runs beside it.
#![cfg(feature = "bench")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use support::ports::Ports;
use support::server::{Server, folder};
use tokio_tungstenite::tungstenite::Message;

/// Every carrier that can be played.
const CARRIERS: [&str; 8] =
    ["cloudonix", "exotel", "genesys", "plivo", "telnyx", "twilio", "vobiz", "vonage"];

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_talkpath")).arg("bench").args(arguments).output().unwrap()
}

/// The one JSON object that a command prints.
fn figures(arguments: &[&str]) -> Value {
    let output = bench(&[arguments, &["--json"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every chirp comes back through the echo, 20 ms of which are a packet's filling up; the server's
/// own account is read, and the histogram is drawn.
#[test]
fn latency_by_sip() {
    let server = Server::start("");
    let plot = folder().join("latency.html");
    let metrics = format!("http://{}/metrics", server.http);
    for codec in ["pcmu", "pcma"] {
        let found = figures(&[
            "latency",
            &server.uri("echo"),
            "--calls",
            "3",
            "--secs",
            "3",
            "--codec",
            codec,
            "--metrics",
            &metrics,
            "--plot",
            plot.to_str().unwrap(),
        ]);
        assert!(found["chirps"].as_u64().unwrap() >= 9, "{found}");
        assert_eq!(found["up"], 3);
        let p50_us = found["mouth_to_ear_us"]["p50"].as_f64().unwrap();
        assert!((20_000.0..60_000.0).contains(&p50_us), "{found}");
        assert_eq!(found["parts"][0]["p50_ms"], 20.0);
        let hops = found["hops"].as_array().unwrap();
        assert!(hops.iter().any(|hop| hop["metric"] == "talkpath_frame_added_seconds"), "{found}");
        let shares = found["budget"]["shares"].as_array().unwrap();
        let steps: Vec<_> = shares.iter().map(|share| share["what"].as_str().unwrap()).collect();
        for step in ["kernel receive", "decode", "kernel send"] {
            assert!(steps.contains(&step), "{found}");
        }
        let page = fs::read_to_string(&plot).unwrap();
        assert!(page.contains("kernel send"), "the steps are drawn");
        assert!(page.contains("<svg") && page.contains("p50") && page.contains("mouth to ear"));
        fs::remove_file(&plot).unwrap();
    }
    server.wait_idle();
    server.stop();
}

/// A program on a WebSocket that speaks the most common carrier's dialect and says back what it
/// hears, `late` frames behind.
fn echo(late: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
                    let mut waiting = std::collections::VecDeque::new();
                    while let Some(Ok(message)) = socket.next().await {
                        let Message::Text(text) = message else { continue };
                        let said: Value = serde_json::from_str(&text).unwrap();
                        if said["event"] != "media" {
                            continue;
                        }
                        waiting.push_back(said);
                        if waiting.len() > late {
                            let said = waiting.pop_front().unwrap();
                            let back = serde_json::json!({
                                "event": "media", "streamSid": said["streamSid"],
                                "media": {"payload": said["media"]["payload"]},
                            });
                            // With room between its parts, as other writers of JSON leave it.
                            let text = serde_json::to_string_pretty(&back).unwrap();
                            socket.send(Message::text(text)).await.unwrap();
                        }
                    }
                });
            }
        });
    });
    address
}

/// A program's own delay is told to the millisecond: three frames are 60 ms more than a frame's
/// filling up.
#[test]
fn latency_of_a_media_socket() {
    let target = format!("ws://{}/media?token=secret", echo(3));
    let found = figures(&["latency", &target, "--calls", "2", "--secs", "3"]);
    assert_eq!((&found["up"], found["chirps"].as_u64()), (&Value::from(2), Some(8)), "{found}");
    let p50_us = found["mouth_to_ear_us"]["p50"].as_f64().unwrap();
    assert!((79_900.0..110_000.0).contains(&p50_us), "{found}");
    assert!(!found.to_string().contains("secret"));
}

/// Every carrier's chirps come back, through the echo and through an agent on a WebSocket: in the
/// carrier's dialect, after a message's filling up. Nothing is left at the server.
#[test]
fn latency_of_carriers() {
    let ports = Ports::claim();
    let at = format!("127.0.0.1:{}", ports.pair());
    let config = format!(
        "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
         [[agents]]\nname = \"far\"\nkind = \"websocket\"\nurl = \"ws://{at}/\"\n"
    );
    let server = Server::start_on(ports, folder(), &config);
    let url = format!("http://{}", server.http);
    let metrics = format!("{url}/metrics");
    for carrier in CARRIERS {
        let whom = ["latency", "--carrier", carrier, "--server", &url, "--key", &server.key];
        let talk = ["--calls", "2", "--secs", "2", "--metrics", &metrics];
        let far = ["--agent", "far", "--with-agent", &at];
        // One of each way in which sound is coded has the agent, too.
        let has_far = ["exotel", "twilio", "vonage"].contains(&carrier);
        let agents = [&["--agent", "echo"][..], &far];
        for agent in agents.iter().take(1 + usize::from(has_far)) {
            let found = figures(&[&whom[..], &talk, *agent].concat());
            assert_eq!((&found["up"], &found["broken"]), (&2.into(), &0.into()), "{found}");
            assert_eq!(found["chirps"].as_u64(), Some(4), "{found}");
            let filling_ms = match carrier {
                "exotel" => 100.0,
                "genesys" => 200.0,
                _ => 20.0,
            };
            assert_eq!(found["parts"][0]["p50_ms"], filling_ms, "{found}");
            let p50_ms = found["mouth_to_ear_us"]["p50"].as_f64().unwrap() / 1e3;
            assert!((20.0..500.0).contains(&p50_ms), "{found}");
            assert!(found["one_way"]["p50_ms"].as_f64().unwrap() < p50_ms, "{found}");
            let shares = found["budget"]["shares"].as_array().unwrap();
            assert!(shares.iter().any(|share| share["what"] == "kernel send"), "{found}");
            server.wait_idle();
        }
    }
    let configs = server.http("GET", "/api/v1/organizations/telephony-configs", None).1;
    let configs: Value = serde_json::from_str(&configs).unwrap();
    assert_eq!(configs["configurations"].as_array().map(Vec::len), Some(0), "{configs}");
    server.stop();
}

/// The ramp ends at the number asked for if nothing gives, and finds the server's limit if it has
/// one.
#[test]
fn density_finds_the_limit() {
    let server = Server::start("[limits]\nmax_calls = 6\n");
    let pid = server.pid().to_string();
    let plot = folder().join("density.svg");
    let sip = server.uri("echo");
    let late = ["--late-ms", "1000", "--own-late-ms", "1000"];
    let common = [&["density", &sip, "--secs", "1", "--from", "2"][..], &late].concat();
    let most = |most| [&common[..], &["--most", most, "--loss-pct", "50"]].concat();
    let held = figures(&most("4"));
    assert_eq!((held["held"].as_u64(), &held["gave"]), (Some(4), &Value::Null), "{held}");
    server.wait_idle();
    let more = ["--watch", &pid, "--plot", plot.to_str().unwrap()];
    let found = figures(&[&most("20")[..], &more].concat());
    assert_eq!(found["held"], 6, "{found}");
    assert!(found["gave"][1].to_string().contains("did not come up"), "{found}");
    assert!(found["steps"][0]["report"]["cost"]["rss_kib"].as_u64().unwrap() > 0);
    assert!(fs::read_to_string(&plot).unwrap().matches("<polyline").count() == 4);
    fs::remove_file(&plot).unwrap();
    server.wait_idle();
    server.stop();
}

/// Calls come up at a rate.
#[test]
fn set_up_at_a_rate() {
    let server = Server::start("");
    let sip = server.uri("echo");
    let at = sip.split_once('@').unwrap().1.split(';').next().unwrap();
    let found = figures(&["setup", "--sip", at, "--rate", "20", "--secs", "2", "--retries", "0"]);
    assert_eq!(found["setup"]["answered"], 40, "{found}");
    server.wait_idle();
    server.stop();
}

/// What cannot be measured is said, and is not the exit code of a bad result.
#[test]
fn faults_are_named() {
    let refused = bench(&["latency", "wss://127.0.0.1/"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("TLS"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("ws://{}/", listener.local_addr().unwrap());
    let closer = std::thread::spawn(move || drop(listener.accept()));
    let closed = bench(&["latency", &target, "--secs", "2"]);
    closer.join().unwrap();
    assert_eq!(closed.status.code(), Some(1), "{closed:?}");
    let name = bench(&["density", "ws://127.0.0.1:1/"]);
    assert!(String::from_utf8_lossy(&name.stderr).contains("no call came up"));
}

/// What a carrier is played to a server with, and how far.
fn of_carrier<'a>(carrier: &'a str, url: &'a str, key: &'a str) -> Vec<&'a str> {
    let late = ["--late-ms", "5000", "--own-late-ms", "5000", "--loss-pct", "50"];
    let whom = ["density", "--carrier", carrier, "--server", url, "--key", key, "--secs", "1"];
    [&whom[..], &late].concat()
}

/// Every carrier's calls ramp up: webhooks, documents or requests, media sockets in the carrier's
/// dialect, or sessions agreed on there; each packet that comes back is what was sent, and nothing
/// is left at the server.
#[test]
fn density_of_carriers() {
    let server = Server::start("");
    let (url, pid) = (format!("http://{}", server.http), server.pid().to_string());
    for carrier in CARRIERS {
        let ramp = ["--from", "2", "--most", "4", "--grow-pct", "100", "--watch", &pid];
        let found = figures(&[&of_carrier(carrier, &url, &server.key)[..], &ramp].concat());
        assert_eq!((found["held"].as_u64(), &found["gave"]), (Some(4), &Value::Null), "{found}");
        let last = &found["steps"][1];
        let content = &last["report"]["content"];
        assert!(content["returned"].as_u64().unwrap() > 100, "{carrier}: {found}");
        assert_eq!((&content["altered"], &content["foreign"]), (&Value::from(0), &Value::from(0)));
        assert!(last["packets_hz"][0].as_f64().unwrap() > 25.0, "{found}");
        assert!(last["report"]["cost"]["yields_hz"].as_f64().unwrap() > 0.0, "{found}");
        server.wait_idle();
    }
    let configs = server.http("GET", "/api/v1/organizations/telephony-configs", None).1;
    let configs: Value = serde_json::from_str(&configs).unwrap();
    assert_eq!(configs["configurations"].as_array().map(Vec::len), Some(0), "{configs}");
    server.stop();
}

/// A carrier's calls find the server's limit, and a name that is no carrier's is told.
#[test]
fn density_of_a_carrier_finds_the_limit() {
    let server = Server::start("[limits]\nmax_calls = 6\n");
    let url = format!("http://{}", server.http);
    let most = ["--from", "4", "--most", "20"];
    let found = figures(&[&of_carrier("twilio", &url, &server.key)[..], &most].concat());
    assert_eq!(found["held"], 6, "{found}");
    assert!(found["gave"][1].to_string().contains("did not come up"), "{found}");
    server.wait_idle();
    let unknown = bench(&of_carrier("acme", &url, &server.key));
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("acme") && said.contains("vonage"), "{said}");
    let wrong = bench(&of_carrier("twilio", &url, "tp_wrong_key"));
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("401") && !said.contains("tp_wrong_key"), "{said}");
    server.stop();
}

/// Calls that a PBX brings by bare media connections, and those of a program that takes a
/// carrier's, are ramped up too.
#[test]
fn density_of_media_connections() {
    let ports = Ports::claim();
    let door = format!("127.0.0.1:{}", ports.pair());
    let config = format!("[audiosocket]\nlisten = \"{door}\"\nto = \"echo\"\n");
    let server = Server::start_on(ports, folder(), &config);
    let targets = [
        (format!("audiosocket://{door}/40325ec2-5efd-4bd3-805f-53576e581d13"), "streams"),
        (format!("ws://{}/api/v1/media?to=echo", server.http), "pbx"),
        (format!("ws://{}/media", echo(0)), "streams"),
    ];
    for (target, speaks) in targets {
        let late = ["--late-ms", "5000", "--own-late-ms", "5000", "--loss-pct", "50"];
        let ramp = ["--secs", "1", "--from", "2", "--most", "3", "--speaks", speaks];
        let found = figures(&[&["density", &target][..], &ramp, &late].concat());
        assert_eq!((found["held"].as_u64(), &found["gave"]), (Some(3), &Value::Null), "{found}");
        let content = &found["steps"][1]["report"]["content"];
        assert!(content["returned"].as_u64().unwrap() > 75, "{target}: {found}");
        assert_eq!((&content["altered"], &content["foreign"]), (&Value::from(0), &Value::from(0)));
        server.wait_idle();
    }
    server.stop();
}

/// Calls that last: a line for each interval, and a verdict that can be good and bad.
#[test]
fn soak_says_what_stays() {
    let server = Server::start("");
    let (sip, pid) = (server.uri("echo"), server.pid().to_string());
    let url = format!("http://{}", server.http);
    let common = ["--calls", "3", "--secs", "3", "--every", "1", "--warm", "1", "--watch", &pid];
    let late = ["--latency-us", "5000000", "--loss-pct", "50", "--memory-kib", "100000"];
    let lasting = ["soak", &sip];
    let carrier = ["soak", "--carrier", "plivo", "--server", &url, "--key", &server.key];
    for whom in [&lasting[..], &carrier] {
        let found = figures(&[whom, &common, &late].concat());
        assert_eq!((&found["up"], found["broke"].to_string().as_str()), (&3.into(), "[]"));
        let intervals = found["intervals"].as_array().unwrap();
        assert_eq!(intervals.len(), 3, "{found}");
        for interval in intervals {
            assert!(interval["rss_kib"].as_u64().unwrap() > 0, "{found}");
            let heard = interval["echo_us"]["count"].as_u64().unwrap();
            assert!((75..=225).contains(&heard), "about 150 in a second: {found}");
        }
        assert_eq!(found["flat"][0]["what"], "memory");
        assert!(found["flat"].as_array().unwrap().iter().all(|flat| flat["holds"] == true));
        server.wait_idle();
    }
    let strict = ["--latency-us=-1000000", "--latency-pct=-100"];
    let output = bench(&[&lasting[..], &common, &strict].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("GROWS") && said.contains("DOES NOT HOLD"), "{said}");
    server.wait_idle();
    server.stop();
}
