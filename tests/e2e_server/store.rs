//! What is kept: the commands and a running server on one store, and no secret in any file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]
#![allow(dead_code, reason = "each test uses a part of the support")]

use crate::support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::server::Server;
use support::store::on_both;

/// What must lie open nowhere but in the file that the operator wrote.
const PLANTED: [&str; 3] = ["planted-agent-secret", "planted-url-token", "planted-password"];

const CONFIG: &str = r#"
[[agents]]
name = "bot"
kind = "websocket"
url = "wss://127.0.0.1:9/?token=planted-url-token"
secret = "planted-agent-secret"

[[agents]]
name = "echo"
kind = "builtin"
builtin = "echo"

[[trunks]]
name = "carrier"
peers = ["127.0.0.1/32"]
username = "us"
password = "planted-password"

[[routes]]
to = "*"
agent = "echo"
"#;

/// Runs the program on the store of `server`.
fn talkpath(server: &Server, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let (command, rest) = arguments.split_first().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_talkpath"));
    program.arg(command).arg("--config").arg(server.dir.join("talkpath.toml"));
    program.arg("--data-dir").arg(server.dir.join("data")).args(rest).arg("--json");
    let sip = server.sip.to_string();
    program.env("TALKPATH_SIP_LISTEN", sip).env("TALKPATH_RTP_PORTS", server.ports.rtp());
    program.env_remove("TALKPATH_REQUIRE_PEERS").env_remove("TALKPATH_TEST_PYTHON");
    let output = program.envs(environment.iter().copied()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The status that the API answers to a key.
fn status(server: &Server, key: &str) -> u16 {
    let mut stream = TcpStream::connect(server.http).unwrap();
    let request = format!(
        "GET /api/v1/calls HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A key that a command makes holds for the running server at once, and no longer once a command
/// revokes it; the server's own key lists and outlives a restart.
#[test]
fn commands_and_server_share_the_keys() {
    on_both(CONFIG, share_keys);
}

fn share_keys(server: Server, database: &[(&str, &str)]) {
    assert_eq!(server.http("GET", "/readyz", None).0, 200);
    let made =
        json(&talkpath(&server, database, &["key", "create", "--name", "ci", "--scope", "read"]));
    let key = made["key"].as_str().unwrap();
    assert_eq!(status(&server, key), 200);
    let listed = json(&talkpath(&server, database, &["key", "list"]));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    talkpath(&server, database, &["key", "revoke", made["id"].as_str().unwrap()]);
    assert_eq!(status(&server, key), 401);
    assert_eq!(status(&server, &server.key), 200);
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let newest = std::fs::read_dir(scripts).unwrap().count();
    assert_eq!(json(&talkpath(&server, database, &["migrate"]))["to"], newest);
    server.stop();
}

/// Secrets are in no file of the server, and in none after they were sealed with a new key while it
/// runs; what it logs holds none either.
#[test]
fn no_file_holds_a_secret() {
    let config = format!("{CONFIG}\n[log]\nlevel = \"debug\"\n");
    on_both(&config, hold_no_secret);
}

fn hold_no_secret(server: Server, database: &[(&str, &str)]) {
    let sealed = json(&talkpath(&server, database, &["seal", "rotate", "--new-key"]));
    assert_eq!(sealed["key"], "k2");
    assert!(sealed["sealed"].as_u64().unwrap() >= 5, "{sealed}");
    let again = json(&talkpath(&server, database, &["seal", "rotate"]));
    assert_eq!((&again["sealed"], &again["kept"]), (&0.into(), &sealed["sealed"]));
    let mut secrets = PLANTED.to_vec();
    secrets.push(&server.key);
    let log = server.log();
    let mut searched = 0;
    search(&server.dir.join("data"), &secrets, &mut searched);
    assert!(searched >= if database.is_empty() { 3 } else { 1 }, "database, log, keys");
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "{log}");
    server.stop();
}

fn search(folder: &Path, secrets: &[&str], searched: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, secrets, searched);
            continue;
        }
        *searched += 1;
        let bytes = std::fs::read(&path).unwrap();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{} holds {secret}", path.display());
        }
    }
}
