//! The audit log: every change is in it, with whoever made it, and no value that was written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use serde_json::{Value, json};
use support::server::Server;

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";
/// What is in no entry.
const PLANTED: &str = "planted-4c1d-and-some-more";

/// Who changes things, and what must be noted of it.
struct Changes<'s> {
    server: &'s Server,
    noted: Vec<String>,
}

impl Changes<'_> {
    /// One change; what is answered.
    #[track_caller]
    fn make(&mut self, what: &str, method: &str, path: &str, body: &Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        let (status, text) = self.server.http(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {text}");
        self.noted.push(what.to_owned());
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    /// Makes something, and changes it; its path.
    #[track_caller]
    fn make_and_change(
        &mut self,
        what: &str,
        path: &str,
        (new, change): (&Value, &Value),
    ) -> String {
        let made = self.make(&format!("create {what}"), "POST", path, new);
        let path = format!("{path}/{}", made["id"].as_str().unwrap());
        self.make(&format!("update {what}"), "PUT", &path, change);
        path
    }

    #[track_caller]
    fn remove(&mut self, what: &str, path: &str) {
        self.make(what, "DELETE", path, &Value::Null);
    }
}

/// Whatever is made, changed or removed over HTTP is noted in its order, by the key that did it;
/// nothing of what was written is.
#[test]
fn every_change_is_noted() {
    let server = Server::start("");
    let mut changes = Changes { server: &server, noted: Vec::new() };
    let none = &Value::Null;
    let bot = json!({
        "name": "bot", "kind": "websocket", "url": "ws://127.0.0.1:1/", "secret": PLANTED,
    });
    let agent = changes.make_and_change("agent", "/api/v1/agents", (&bot, &bot));
    let id = agent.rsplit('/').next().unwrap();
    let peer = json!({"name": "peer", "config": {
        "provider": "sip_trunk", "inbound": {"networks": ["192.0.2.0/24"]},
        "auth": {"enabled": true, "user": "u", "password": PLANTED},
    }});
    let config =
        changes.make_and_change("configuration", CONFIGS, (&peer, &json!({"max_calls": 2})));
    changes.make("default configuration", "POST", &format!("{config}/set-default-outbound"), none);
    changes.make("park configuration", "POST", &format!("{config}/park"), &json!({"reason": "r"}));
    changes.make("reactivate configuration", "POST", &format!("{config}/reactivate"), none);
    let west = json!({"name": "west", "settings": {"inbound": {"networks": ["198.51.100.0/24"]}}});
    let trunk = changes.make_and_change(
        "trunk",
        &format!("{config}/trunks"),
        (&west, &json!({"enabled": false})),
    );
    let number = changes.make_and_change(
        "number",
        &format!("{config}/phone-numbers"),
        (&json!({"address": "+4930123456"}), &json!({"label": PLANTED})),
    );
    let main = format!("{number}/set-default-caller");
    changes.make("update number", "POST", &main, none);
    let route = json!({"to": "+49*", "agent_id": id});
    let route = changes.make_and_change("route", "/api/v1/routes", (&route, &route));
    let hook = json!({"url": format!("https://hooks.invalid/{PLANTED}")});
    let hook = changes.make_and_change("subscription", "/api/v1/webhooks", (&hook, &hook));
    changes.make("rotate subscription", "POST", &format!("{hook}/secret"), none);
    let key = json!({"name": "reader", "scope": "read"});
    let key = changes.make("create api_key", "POST", "/api/v1/keys", &key);
    let order = json!({"call": {"agent": "echo"}, "to": "sip:bob@192.0.2.1", "paused": true});
    let order = changes.make("create call_order", "POST", "/api/v1/call-orders", &order);
    let order = format!("/api/v1/call-orders/{}", order["id"].as_str().unwrap());
    let more = json!({"recipients": [{"to": format!("sip:{PLANTED}@192.0.2.1")}]});
    changes.make("extend call_order", "POST", &format!("{order}/recipients"), &more);
    changes.make("cancel call_order", "POST", &format!("{order}/cancel"), none);
    changes.remove("revoke api_key", &format!("/api/v1/keys/{}", key["id"].as_str().unwrap()));
    changes.remove("delete subscription", &hook);
    changes.remove("delete route", &route);
    changes.remove("delete number", &number);
    changes.remove("delete trunk", &trunk);
    changes.remove("delete configuration", &config);
    changes.remove("delete agent", &agent);

    let (status, text) = server.http("GET", "/api/v1/audit?limit=200", None);
    assert_eq!(status, 200, "{text}");
    assert!(!text.contains(PLANTED), "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    let mut entries = found["items"].as_array().unwrap().clone();
    entries.reverse();
    let by_key = |entry: &&Value| entry["actor"].as_str().unwrap().starts_with("key:");
    let word = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let noted: Vec<String> = entries
        .iter()
        .filter(by_key)
        .map(|entry| format!("{} {}", word(entry, "action"), word(entry, "object_type")))
        .collect();
    assert_eq!(noted, changes.noted);
    server.stop();
}
