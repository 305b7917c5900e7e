//! Who is said to call in calls that we place, and header fields that agents and the API add.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};

use support::agent::Agents;
use support::gateway::{Gateway, Manner};
use support::line::header;
use support::phone::{self, Phone};
use support::server::Server;
use support::until;

const SOON: Duration = Duration::from_secs(15);

/// A server with a trunk to `gateway`, called `carrier`, of which `trunk` says more.
fn server(gateway: &Gateway, trunk: &str) -> Server {
    let target = gateway.address;
    Server::start(&format!(
        "[[trunks]]\nname = \"carrier\"\npeers = \"127.0.0.1\"\ntargets = [\"sip:{target}\"]\n\
         from_domain = \"us.test\"\n{trunk}\n"
    ))
}

/// Places a call with these fields more.
fn place(server: &Server, more: &Value) -> (u16, String) {
    let mut wanted = json!({ "to": "+4930", "trunk": "carrier", "agent": "echo", "from": "+4940" });
    for (name, value) in more.as_object().unwrap() {
        wanted[name] = value.clone();
    }
    server.http("POST", "/api/v1/calls", Some(&wanted))
}

/// The first INVITE that a gateway got for a call with these fields more.
#[track_caller]
fn invite(gateway: &Gateway, server: &Server, more: &Value) -> String {
    let before = gateway.heard("INVITE ").len();
    let (status, body) = place(server, more);
    assert_eq!(status, 201, "{body}");
    let invite = until(SOON, "an INVITE", || gateway.heard("INVITE ").get(before).cloned());
    until(SOON, "an ACK", || (gateway.heard("ACK ").len() > before).then_some(()));
    let call: Value = serde_json::from_str(&body).unwrap();
    server.hang_up(call["id"].as_str().unwrap());
    server.wait_idle();
    invite
}

/// Whether a message has a header field of this name.
fn has(message: &str, name: &str) -> bool {
    message.lines().any(|line| line.starts_with(&format!("{name}:")))
}

/// A trunk is told who calls as it wants to be, and those who are called what the caller allows.
#[test]
fn identities_are_asserted() {
    let gateway = Gateway::start(Manner::Answers);
    let plain = server(&gateway, "");
    let said = invite(&gateway, &plain, &json!({}));
    assert!(header(&said, "From").starts_with("<sip:+4940@us.test>;tag="), "{said}");
    assert!(!has(&said, "P-Asserted-Identity") && !has(&said, "Privacy"), "{said}");
    let said = invite(&gateway, &plain, &json!({ "from_name": "A \"B\"", "privacy": "none" }));
    assert!(header(&said, "From").starts_with(r#""A \"B\"" <sip:+4940@us.test>;"#), "{said}");
    plain.stop();

    let asserting = server(
        &gateway,
        "caller_id_header = \"p_asserted_identity\"\nasserted_identity = \"+49301\"",
    );
    let said = invite(&gateway, &asserting, &json!({ "from_name": "Ann" }));
    assert_eq!(header(&said, "P-Asserted-Identity"), "\"Ann\" <sip:+49301@us.test>");
    let said = invite(&gateway, &asserting, &json!({ "privacy": "id" }));
    assert!(header(&said, "From").contains("<sip:anonymous@anonymous.invalid>;tag="), "{said}");
    assert_eq!(header(&said, "P-Asserted-Identity"), "<sip:+49301@us.test>");
    assert_eq!(header(&said, "Privacy"), "id");
    assert!(!said.contains("4940"), "{said}");
    asserting.stop();

    let preferring =
        server(&gateway, "caller_id_header = \"p_preferred_identity\"\nprivacy = \"id\"");
    let said = invite(&gateway, &preferring, &json!({}));
    assert_eq!(header(&said, "P-Preferred-Identity"), "<sip:+4940@us.test>");
    assert_eq!(header(&said, "Privacy"), "id");
    preferring.stop();
}

/// What the API adds is in the INVITE if the trunk lets it out; what steers, what would begin
/// another line, and what the trunk does not name is refused, with the name, and nothing is sent.
#[test]
fn headers_of_the_api() {
    let gateway = Gateway::start(Manner::Answers);
    let server = server(&gateway, "headers_out = [\"X-Tenant\", \"User-to-User\"]");
    let more =
        json!({ "headers": { "x-tenant": "7;a=\"b\"", "User-to-User": "00ff;encoding=hex" } });
    let said = invite(&gateway, &server, &more);
    assert_eq!(header(&said, "x-tenant"), "7;a=\"b\"");
    assert_eq!(header(&said, "User-to-User"), "00ff;encoding=hex");
    let sent = gateway.heard("INVITE ").len();
    for (name, value, why) in [
        ("Via", "SIP/2.0/UDP a", "Via is set by the server alone"),
        ("m", "<sip:evil@x>", "m is set by the server alone"),
        ("Route", "<sip:evil@x;lr>", "Route is set by the server alone"),
        ("X-Tenant", "a\r\nRoute: <sip:evil@x;lr>", "X-Tenant has control characters"),
        ("X-Tenant\r\nRoute", "a", "is no header name"),
        ("X-Other", "a", "X-Other is not among the headers_out of the trunk"),
    ] {
        let (status, body) = place(&server, &json!({ "headers": { name: value } }));
        assert_eq!(status, 400, "{name}: {body}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("headers: ") && detail.contains(why), "{detail}");
    }
    let (status, body) = place(&server, &json!({ "from_name": "a\r\nVia: b" }));
    assert!(status == 400 && body.contains("from_name"), "{body}");
    for privacy in ["none", "id"] {
        let wish = json!({ "from": "1@x>,<sip:evil@y", "privacy": privacy });
        let (status, body) = place(&server, &wish);
        assert!(status == 400 && body.contains("from: "), "{body}");
    }
    assert_eq!(gateway.heard("INVITE ").len(), sent);
    server.stop();
}

/// A call that is sent elsewhere says where it was, and who diverted it.
#[test]
fn redirected_calls_tell_where_they_were() {
    let reached = Gateway::start(Manner::Answers);
    let line = format!("302 Moved Temporarily\nContact: <sip:desk@{}>", reached.address);
    let moved = Gateway::start(Manner::Refuses(line.leak()));
    let server = server(&moved, "caller_id_header = \"p_asserted_identity\"");
    let (status, body) = place(&server, &json!({}));
    assert_eq!(status, 201, "{body}");
    let said = until(SOON, "an INVITE", || reached.heard("INVITE ").first().cloned());
    let first = format!("sip:+4930@{}", moved.address);
    let desk = format!("sip:desk@{}", reached.address);
    let history: Vec<&str> =
        said.lines().filter_map(|line| line.strip_prefix("History-Info: ")).collect();
    let before = format!("<{first}?Reason=SIP%3Bcause%3D302>;index=1");
    assert_eq!(history, [before, format!("<{desk}>;index=1.1;mp=1")]);
    let diverted = format!("<{first}>;reason=unconditional;counter=1");
    assert_eq!(header(&said, "Diversion"), diverted);
    assert_eq!(header(&said, "P-Asserted-Identity"), "<sip:+4940@us.test>");
    assert!(said.starts_with(&format!("INVITE {desk} ")), "{said}");
    assert!(!moved.heard("INVITE ")[0].contains("History-Info"));
    let call: Value = serde_json::from_str(&body).unwrap();
    until(SOON, "an ACK", || (!reached.heard("ACK ").is_empty()).then_some(()));
    server.hang_up(call["id"].as_str().unwrap());
    server.wait_idle();
    server.stop();
}

/// An agent adds fields to its answer and to a transfer; what may not be there is left out of the
/// answer, and said to the agent.
#[test]
fn headers_of_an_agent() {
    let gateway = Gateway::start(Manner::Silent);
    let agents = Agents::listen();
    let url = agents.url();
    let server = server(
        &gateway,
        &format!(
            "headers_out = [\"X-Ticket\"]\n[[agents]]\nname = \"bot\"\nkind = \"websocket\"\n\
             url = \"{url}\"\nanswers = true\n"
        ),
    );
    for (name, told) in [("X-Ticket", None), ("X-Other", Some("failed")), ("To", Some("bad_field"))]
    {
        let mut phone = Phone::call(&server, "bot");
        let mut agent = agents.accept();
        agent.say(&json!({ "event": "answer", "headers": { name: "5" } }));
        if let Some(code) = told {
            let error = agent.event("error");
            assert_eq!(error["code"], code, "{error}");
            assert!(error["message"].as_str().unwrap().contains("headers"), "{error}");
        }
        if told == Some("bad_field") {
            agent.order("answer");
        }
        phone.wait_answer();
        assert_eq!(has(&phone.answer, "X-Ticket"), told.is_none(), "{}", phone.answer);
        assert!(!has(&phone.answer, "X-Other"), "{}", phone.answer);
        agent.event("answered");
        if told.is_none() {
            assert_eq!(phone::header(&phone.answer, "X-Ticket"), "5");
            let headers = json!({ "X-Other": "5" });
            let transfer = json!({ "event": "transfer", "kind": "blind", "destination": "1",
                "headers": headers });
            agent.say(&transfer);
            assert_eq!(agent.event("transfer")["cause"], "bad_headers");
            let headers = json!({ "X-Ticket": "6" });
            let transfer = json!({ "event": "transfer", "kind": "blind", "destination": "1",
                "headers": headers });
            agent.say(&transfer);
            let refer = phone.wait_request("REFER");
            assert_eq!(phone::header(&refer, "X-Ticket"), "6", "{refer}");
        }
        phone.hang_up();
        agent.event("stop");
    }
    server.wait_idle();
    server.stop();
}
