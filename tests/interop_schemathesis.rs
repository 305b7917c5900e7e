//! A program that we did not write reads the OpenAPI document, asks every endpoint, with sense and
//! without, with a key and without, and compares the answers with what the document says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use serde_json::Value;
use support::peers;
use support::server::Server;
use tokio_tungstenite::tungstenite::accept_hdr;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// What every answer is judged by.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,\
                      unsupported_method,ignored_auth,use_after_free";
/// Requests of each phase for each endpoint.
const EXAMPLES: &str = "12";

/// Operations that are not asked for.
const NOT_ASKED: [&str; 6] = [
    "attach_agent",
    "stream_events",
    "create_webhook",
    "update_webhook",
    "test_webhook",
    "test_agent",
];

/// Nothing fails in the server, no answer is other than its schema, no status is unheard of, no
/// endpoint forgets to ask for the key.
#[test]
fn the_document_holds() {
    let Some(python) = peers::python() else { return };
    let server = Server::start(
        "[http]\naddress_requests_per_second = 100000\nkey_requests_per_second = 100000\n",
    );
    let url = format!("http://{}", server.http);
    let run = Command::new(python.with_file_name("st"))
        .current_dir(&server.dir)
        .args(["run", &format!("{url}/api/v1/openapi.json"), "--url", &url])
        .args(["-H", &format!("Authorization: Bearer {}", server.key)])
        .args(["--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", "1"])
        .args(["--suppress-health-check", "all", "--warnings", "off", "--no-color"])
        // A WebSocket and a stream without end are none of its trades; webhooks would go to
        // whomever it names, and agents be dialled there: those are tested below.
        .args(NOT_ASKED.iter().flat_map(|id| ["--exclude-operation-id", id]))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    let log = server.log();
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(!log.contains("panicked"), "{log}");
    let tested = said.lines().find(|line| line.contains("Tested:")).unwrap_or_default();
    let count = tested.split_whitespace().find_map(|word| word.parse::<u32>().ok());
    assert!(count.is_some_and(|count| count > 30), "{said}");
    server.stop();
}

/// Agents are tested as the document says: one that takes the connection, one that closes it, one
/// that nobody hears, and those that are not dialled. They are those of the file, and live on this
/// machine: whom a program invents is not dialled.
#[test]
fn agents_are_tested_as_documented() {
    let Some(python) = peers::python() else { return };
    let there = agents();
    let server = Server::start(&format!(
        "[http]\naddress_requests_per_second = 100000\nkey_requests_per_second = 100000\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
         [[agents]]\nname = \"there\"\nkind = \"websocket\"\nurl = \"ws://{there}\"\n\
         [[agents]]\nname = \"tls\"\nkind = \"websocket\"\nurl = \"wss://{there}\"\n\
         [[agents]]\nname = \"nobody\"\nkind = \"websocket\"\nurl = \"ws://127.0.0.1:9\"\n\
         [[agents]]\nname = \"comes\"\nkind = \"websocket\"\nattach = true\n",
    ));
    let (status, body) = server.http("GET", "/api/v1/agents", None);
    assert_eq!(status, 200, "{body}");
    let list: Value = serde_json::from_str(&body).unwrap();
    let ids: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 5, "{body}");
    let settings = format!(
        "[[operations]]\ninclude-operation-id = \"test_agent\"\nparameters = {{ id = {ids:?} }}\n"
    );
    std::fs::write(server.dir.join("schemathesis.toml"), settings).unwrap();
    let url = format!("http://{}", server.http);
    let run = Command::new(python.with_file_name("st"))
        .current_dir(&server.dir)
        .args(["--config-file", "schemathesis.toml", "run"])
        .args([&format!("{url}/api/v1/openapi.json"), "--url", &url])
        .args(["-H", &format!("Authorization: Bearer {}", server.key)])
        .args(["--checks", CHECKS, "--max-examples", "40", "--seed", "1", "--no-color"])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        .args(["--include-operation-id", "test_agent"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    let log = server.log();
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(!log.contains("panicked"), "{log}");
    for (name, ok, word) in [
        ("echo", true, "always there"),
        ("there", true, "took the connection"),
        ("tls", false, "certificate"),
        ("nobody", false, "Nobody answers"),
        ("comes", true, "attaches by itself"),
    ] {
        let agents = list["items"].as_array().unwrap();
        let id = agents.iter().find(|one| one["name"] == name).unwrap()["id"].as_str().unwrap();
        let (status, body) = server.http("POST", &format!("/api/v1/agents/{id}/test"), None);
        let outcome: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &outcome["ok"]), (200, &Value::from(ok)), "{name}: {body}");
        assert!(outcome["message"].as_str().unwrap().contains(word), "{name}: {body}");
    }
    server.stop();
}

/// The address at which agents take every connection, to the end of the tests.
fn agents() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            #[expect(clippy::result_large_err, reason = "the library's signature")]
            let spoken = |request: &Request, mut response: Response| {
                let protocol = request.headers()["sec-websocket-protocol"].clone();
                response.headers_mut().insert("sec-websocket-protocol", protocol);
                Ok(response)
            };
            std::thread::spawn(move || {
                // Who speaks TLS here is not understood.
                if let Ok(mut socket) = accept_hdr(stream, spoken) {
                    while socket.read().is_ok() {}
                }
            });
        }
    });
    address
}
