//! `talkpath bench`: latency, density and set-up of a server that runs beside it.
#![cfg(feature = "bench")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use support::server::{Server, folder};
use tokio_tungstenite::tungstenite::Message;

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
                            socket.send(Message::text(back.to_string())).await.unwrap();
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
    let refused = bench(&["latency", "sip:echo@127.0.0.1;transport=tls"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("TLS"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("ws://{}/", listener.local_addr().unwrap());
    let closer = std::thread::spawn(move || drop(listener.accept()));
    let closed = bench(&["latency", &target, "--secs", "2"]);
    closer.join().unwrap();
    assert_eq!(closed.status.code(), Some(1), "{closed:?}");
    let name = bench(&["density", "ws://127.0.0.1:1/"]);
    assert!(String::from_utf8_lossy(&name.stderr).contains("measured by SIP"));
}
