//! A program that we did not write reads the OpenAPI document, asks every endpoint, with sense and
//! without, with a key and without, and compares the answers with what the document says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::process::Command;

use support::peers;
use support::server::Server;

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
        // whomever it names, and agents be dialled there.
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
