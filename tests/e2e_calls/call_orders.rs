//! Orders of calls end to end: placed when they are due, again by policy, by a server that may end
//! in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use support::callee::Callee;
use support::server::{self, Server, expect};
use support::until;

const CONFIG: &str = "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n";
const ORDERS: &str = "/api/v1/call-orders";
const SOON: Duration = Duration::from_secs(20);

#[track_caller]
fn order(server: &Server, body: &Value) -> String {
    let made = expect(server, 201, "POST", ORDERS, Some(body));
    made["id"].as_str().unwrap().to_owned()
}

/// An order once it is over.
#[track_caller]
fn over(server: &Server, id: &str) -> Value {
    until(SOON, "the order is over", || {
        let order = expect(server, 200, "GET", &format!("{ORDERS}/{id}"), None);
        (!order["ended_at"].is_null()).then_some(order)
    })
}

/// The calls of an order: which, what it came to.
fn calls(server: &Server, id: &str) -> Vec<(i64, String)> {
    let all = expect(server, 200, "GET", &format!("{ORDERS}/{id}/calls"), None);
    let all = all["items"].as_array().unwrap().iter();
    all.map(|call| {
        let outcome = call["outcome"].as_str().unwrap_or("none").to_owned();
        (call["number"].as_i64().unwrap(), outcome)
    })
    .collect()
}

/// A time so many seconds from now, as it is written.
fn in_seconds(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
    jiff::Timestamp::from_second(now.cast_signed()).unwrap().to_string()
}

/// Who is busy is called again after a pause and talks then; who declines is not; each call is one
/// of the call log, and the order tells how it stands until nobody is left.
#[test]
fn recipients_are_called_again_by_policy() {
    let server = Server::start(CONFIG);
    let (mut busy, mut declines) = (Callee::ulaw(), Callee::ulaw());
    let id = order(
        &server,
        &json!({
            "call": {"agent": "echo", "variables": {"a": "1"}},
            "recipients": [
                {"to": busy.uri(), "variables": {"n": "1"}}, {"to": declines.uri()},
            ],
            "retry": {"busy": {"tries": 2, "delay_s": 5}},
        }),
    );
    busy.wait_call();
    busy.refuse("486 Busy Here");
    declines.wait_call();
    declines.refuse("603 Decline");
    busy.wait_call();
    busy.answer();
    until(SOON, "they talk", || {
        let all = server.calls();
        all.iter().any(|call| call["state"] == "answered").then_some(())
    });
    let shown = expect(&server, 200, "GET", &format!("{ORDERS}/{id}"), None);
    assert_eq!(shown["recipients"]["calling"], 1, "{shown}");
    busy.hang_up("");
    let ended = over(&server, &id);
    assert_eq!(ended["state"], "done");
    assert_eq!(
        (&ended["recipients"]["reached"], &ended["recipients"]["failed"]),
        (&1.into(), &1.into())
    );
    let mut found = calls(&server, &id);
    found.sort();
    let expected = [(1, "busy"), (1, "refused"), (2, "reached")];
    assert_eq!(found, expected.map(|(number, outcome)| (number, outcome.to_owned())));
    let all = expect(&server, 200, "GET", &format!("{ORDERS}/{id}/calls"), None);
    for call in all["items"].as_array().unwrap() {
        let path = format!("/api/v1/calls/{}", call["call_id"].as_str().unwrap());
        assert_eq!(expect(&server, 200, "GET", &path, None)["direction"], "outbound");
    }
    server.wait_idle();
    server.stop();
}

/// A call that is ordered for later is placed then and not before, once, though the server is
/// killed and another goes on in its place; one that was given up is not placed at all.
#[test]
fn orders_survive_a_killed_server() {
    let dir = server::folder();
    let mut first = Server::start_in(dir.clone(), CONFIG);
    let (mut called, spared) = (Callee::ulaw(), Callee::ulaw());
    let at = in_seconds(4);
    let body = json!({"call": {"agent": "echo"}, "to": called.uri(), "at": at});
    let key = [("Idempotency-Key", "once")];
    let again = |server: &Server| server.http_with(&key, "POST", ORDERS, Some(&body));
    let (status, made) = again(&first);
    assert_eq!(status, 201, "{made}");
    let never =
        order(&first, &json!({"call": {"agent": "echo"}, "to": spared.uri(), "at": in_seconds(4)}));
    expect(&first, 204, "POST", &format!("{ORDERS}/{never}/cancel"), None);
    first.kill();
    first.leave_files();
    let secret = first.key.clone();
    drop(first);
    let mut second = Server::start_in(dir, CONFIG);
    second.key = secret;
    let (status, found) = again(&second);
    let id = |text: &str| serde_json::from_str::<Value>(text).unwrap()["id"].clone();
    assert_eq!((status, id(&found)), (201, id(&made)));
    called.wait_call();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let due: jiff::Timestamp = at.parse().unwrap();
    assert!(now.cast_signed() >= due.as_second(), "it was too early");
    called.answer();
    until(SOON, "they talk", || {
        second.calls().iter().any(|call| call["state"] == "answered").then_some(())
    });
    called.hang_up("");
    let made = id(&made);
    let ended = over(&second, made.as_str().unwrap());
    assert_eq!(calls(&second, made.as_str().unwrap()), [(1, "reached".to_owned())]);
    assert_eq!(ended["recipients"]["reached"], 1);
    let never = over(&second, &never);
    assert_eq!(
        (&never["state"], &never["recipients"]["cancelled"]),
        (&"cancelled".into(), &1.into())
    );
    assert!(spared.try_hear().is_none());
    second.wait_idle();
    second.stop();
}

/// An order has no more calls at once than it may; a limit of the organisation fails nobody, who
/// waits is called when there is room; and what is given up with its calls ends them.
#[test]
fn limits_fail_nobody() {
    let server = Server::start(
        "[limits]\nmax_calls = 2\ninbound_reserve_percent = 0\n[[agents]]\nname = \"echo\"\n\
         kind = \"builtin\"\nbuiltin = \"echo\"\n",
    );
    let mut phones: Vec<Callee> = (0..4).map(|_| Callee::ulaw()).collect();
    let recipients: Vec<Value> = phones.iter().map(|it| json!({"to": it.uri()})).collect();
    let id = order(
        &server,
        &json!({"call": {"agent": "echo"}, "recipients": recipients, "max_calls": 3}),
    );
    for phone in &mut phones {
        phone.wait_call();
        let living = server.calls().iter().filter(|call| call["state"] != "ended").count();
        assert!(living <= 2, "{living}");
        phone.refuse("486 Busy Here");
    }
    let ended = over(&server, &id);
    assert_eq!(ended["recipients"]["failed"], 4, "{ended}");
    let mut alone = Callee::ulaw();
    let id = order(&server, &json!({"call": {"agent": "echo"}, "to": alone.uri()}));
    alone.wait_call();
    alone.ring();
    expect(&server, 204, "POST", &format!("{ORDERS}/{id}/cancel?hang_up=true"), None);
    alone.wait_cancel();
    assert_eq!(over(&server, &id)["recipients"]["cancelled"], 1);
    let wrong = json!({"call": {"agent": "nobody"}, "to": "x"});
    expect(&server, 422, "POST", ORDERS, Some(&wrong));
    server.wait_idle();
    server.stop();
}
