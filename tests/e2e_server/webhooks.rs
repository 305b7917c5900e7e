//! Webhooks over HTTP: what was given up is listed and delivered again with the same id, and what
//! waits for a subscription that is switched off waits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use support::server::Server;
use support::store::on_both;
use support::until_told;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);
const CONFIG: &str = "[webhooks]\nallow_networks = [\"127.0.0.0/8\"]\n";

/// Takes webhooks, or says that it is gone.
#[derive(Clone)]
struct Receiver {
    port: u16,
    is_gone: Arc<AtomicBool>,
    /// The ids of the events that came, each with its body.
    came: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let this = Self { port, is_gone: Arc::default(), came: Arc::default() };
        let taking = this.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                taking.take(stream);
            }
        });
        this
    }

    fn take(&self, stream: TcpStream) {
        let (mut reader, mut length, mut id) = (BufReader::new(stream), 0, String::new());
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "talkpath-event-id" => value.clone_into(&mut id),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        self.came.lock().unwrap().push((id, serde_json::from_slice(&body).unwrap()));
        let status = if self.is_gone.load(SeqCst) { "410 Gone" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        reader.into_inner().write_all(answer.as_bytes()).unwrap();
    }

    fn count(&self) -> usize {
        self.came.lock().unwrap().len()
    }
}

#[track_caller]
fn expect(server: &Server, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
    let (found, text) = server.http(method, path, body);
    assert_eq!(found, status, "{method} {path}: {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

/// The deliveries that stand so, once there are so many.
#[track_caller]
fn deliveries(server: &Server, hook: &str, state: &str, count: usize) -> Vec<Value> {
    until_told(SOON, &format!("{count} that are {state}"), || {
        let path = format!("{hook}/deliveries?state={state}");
        let list = expect(server, 200, "GET", &path, None);
        let items = list["items"].as_array().unwrap().clone();
        (items.len() == count).then_some(items)
    })
}

/// A receiver that is gone gets nothing more until what was given up is delivered again, with the
/// same id and body; one event may be delivered again whatever became of it. What waits for a
/// subscription that is off comes once it is on; to one that was deleted nothing is delivered.
#[test]
fn what_was_given_up_comes_again() {
    on_both(CONFIG, |server, _| comes_again(server));
}

fn comes_again(server: Server) {
    let receiver = Receiver::start();
    receiver.is_gone.store(true, SeqCst);
    let url = format!("http://127.0.0.1:{}/hook", receiver.port);
    let made = expect(&server, 201, "POST", "/api/v1/webhooks", Some(&json!({ "url": url })));
    let hook = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    expect(&server, 202, "POST", &format!("{hook}/test"), None);
    let dead = deliveries(&server, &hook, "dead", 1).remove(0);
    assert_eq!((&dead["attempts"], &dead["status"]), (&json!(1), &json!(410)));
    assert_eq!((&dead["type"], &dead["due_at"]), (&json!("ping"), &json!(null)));
    assert!(deliveries(&server, &hook, "delivered", 0).is_empty());
    expect(&server, 400, "GET", &format!("{hook}/deliveries?state=lost"), None);

    receiver.is_gone.store(false, SeqCst);
    let replay = format!("{hook}/replay");
    assert_eq!(expect(&server, 202, "POST", &replay, None)["replayed"], json!(1));
    let taken = deliveries(&server, &hook, "delivered", 1).remove(0);
    assert_eq!((&taken["id"], &taken["event_id"]), (&dead["id"], &dead["event_id"]));
    assert_eq!(expect(&server, 202, "POST", &replay, None)["replayed"], json!(0));
    let one = format!("{hook}/deliveries/{}/replay", dead["id"].as_str().unwrap());
    assert_eq!(expect(&server, 202, "POST", &one, None)["replayed"], json!(1));
    until_told(SOON, "the same for the third time", || (receiver.count() == 3).then_some(()));
    let came = receiver.came.lock().unwrap().clone();
    assert!(came.iter().all(|it| *it == came[0]), "{came:?}");
    assert_eq!(json!(came[0].0), dead["event_id"]);
    deliveries(&server, &hook, "delivered", 1);

    let switch = |on: bool| json!({"url": url, "enabled": on});
    expect(&server, 200, "PUT", &hook, Some(&switch(false)));
    expect(&server, 202, "POST", &format!("{hook}/test"), None);
    deliveries(&server, &hook, "pending", 1);
    assert_eq!(receiver.count(), 3);
    expect(&server, 200, "PUT", &hook, Some(&switch(true)));
    until_told(SOON, "what has waited", || (receiver.count() == 4).then_some(()));
    deliveries(&server, &hook, "delivered", 2);

    expect(&server, 204, "DELETE", &hook, None);
    for path in [&replay, &one] {
        expect(&server, 404, "POST", path, None);
    }
    expect(&server, 404, "GET", &format!("{hook}/deliveries"), None);
    server.stop();
}
