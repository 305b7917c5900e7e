use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Deliverer, Targets};
use crate::config::{Allowed, Secret};
use crate::outbox::{Guard, signature};
use crate::store::deliveries::{Delivery, DeliveryState, New};
use crate::store::subscriptions::SubscriptionFields;
use crate::store::tests::on_both;
use crate::store::{Actor, NodeId, Store, SubscriptionId};

const SECRET: &str = "whsec_test";

/// A webhook as it came.
#[derive(Clone, Debug)]
struct Came {
    head: String,
    body: String,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// A receiver that answers with `statuses`, one after the other, and with 200 after that.
async fn receiver(statuses: Vec<u16>) -> (u16, Arc<Mutex<Vec<Came>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came: Arc<Mutex<Vec<Came>>> = Arc::default();
    let (seen, mut statuses) = (Arc::clone(&came), statuses.into_iter());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = Vec::new();
            let (head, body) = loop {
                let mut piece = [0; 4_096];
                let read = stream.read(&mut piece).await.unwrap();
                text.extend_from_slice(&piece[..read]);
                let all = String::from_utf8(text.clone()).unwrap();
                if let Some((head, body)) = all.split_once("\r\n\r\n") {
                    let came = Came { head: head.to_owned(), body: body.to_owned() };
                    if came.header("content-length").parse() == Ok(body.len()) || read == 0 {
                        break (came.head, came.body);
                    }
                }
            };
            seen.lock().unwrap().push(Came { head, body });
            let status = statuses.next().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, came)
}

/// A store with one subscription to `url`, whose deliveries are under way.
async fn delivering(store: &Store, url: String, guard: Guard) -> (SubscriptionId, Targets) {
    let fields =
        SubscriptionFields { url, events: vec!["*".into()], description: None, enabled: true };
    let ours = store.default_organisation();
    let secret = Secret::new(SECRET.into());
    let made = store.create_subscription(ours, &fields, &secret, &Actor::Server).await.unwrap();
    let targets = Targets::new(guard);
    let (commits, receiver) = watch::channel(0_u64);
    let deliverer = Deliverer::new(store.clone(), NodeId::new(), targets.clone(), receiver);
    tokio::spawn(async move {
        deliverer.run().await;
        drop(commits);
    });
    (made.id, targets)
}

async fn append(store: &Store, subscription: SubscriptionId, event_id: &str) {
    let organisation = store.default_organisation();
    let (kind, payload) = ("call.ended", "{\"a\":1}");
    let new = New { organisation, subscription, event_id, kind, payload };
    store.append_delivery(&new).await.unwrap();
}

/// The only delivery once it stands as `wanted` says.
async fn until(
    store: &Store,
    subscription: SubscriptionId,
    wanted: impl Fn(&Delivery) -> bool,
) -> Delivery {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let ours = store.default_organisation();
        let mut all = store.deliveries(ours, subscription, None, None, 10).await.unwrap();
        assert_eq!(all.len(), 1);
        let one = all.remove(0);
        if wanted(&one) {
            return one;
        }
        assert!(Instant::now() < end, "{one:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn loopback() -> Guard {
    Guard::new(Allowed::parse(&["127.0.0.0/8"]).unwrap())
}

/// A webhook is signed, is tried again with the same id until it is taken, and is taken once. The
/// same event appended again is no second one; replayed it comes again with its id.
#[test]
fn webhooks_are_tried_until_taken() {
    on_both(async |db| {
        let store = db.store().await;
        let (port, came) = receiver(vec![500]).await;
        let url = format!("http://127.0.0.1:{port}/hook?x=1");
        let (subscription, targets) = delivering(&store, url, loopback()).await;
        append(&store, subscription, "7").await;
        append(&store, subscription, "7").await;
        targets.wake.notify_one();
        let is_taken = |one: &Delivery| one.state == DeliveryState::Delivered;
        let taken = until(&store, subscription, is_taken).await;
        assert_eq!((taken.attempts, taken.status), (2, Some(200)));
        let seen = came.lock().unwrap().clone();
        assert_eq!(seen.len(), 2);
        for one in &seen {
            assert!(one.head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{}", one.head);
            assert_eq!((one.header("talkpath-event-id"), one.body.as_str()), ("7", "{\"a\":1}"));
            let at = one.header("talkpath-timestamp").parse().unwrap();
            let expected = signature(&Secret::new(SECRET.into()), at, &one.body);
            assert_eq!(one.header("talkpath-signature"), expected);
        }
        let ours = store.default_organisation();
        let replayed = store.replay_deliveries(ours, subscription, Some(taken.id)).await.unwrap();
        assert_eq!(replayed, 1);
        targets.wake.notify_one();
        until(&store, subscription, is_taken).await;
        assert_eq!(came.lock().unwrap().len(), 3);
        assert_eq!(came.lock().unwrap()[2].header("talkpath-event-id"), "7");
    });
}

/// A receiver that says it is gone is believed; what was given up can be delivered again.
#[test]
fn the_gone_are_believed() {
    on_both(async |db| {
        let store = db.store().await;
        let (port, _) = receiver(vec![410]).await;
        let url = format!("http://127.0.0.1:{port}/");
        let (subscription, targets) = delivering(&store, url, loopback()).await;
        append(&store, subscription, "1").await;
        targets.wake.notify_one();
        let dead = until(&store, subscription, |one| one.state == DeliveryState::Dead).await;
        assert_eq!((dead.attempts, dead.status), (1, Some(410)));
        let ours = store.default_organisation();
        assert_eq!(store.replay_deliveries(ours, subscription, None).await.unwrap(), 1);
        targets.wake.notify_one();
        until(&store, subscription, |one| one.state == DeliveryState::Delivered).await;
        assert_eq!(store.replay_deliveries(ours, subscription, None).await.unwrap(), 0);
    });
}

/// A webhook does not reach what only this server can reach, whatever name leads there, and a
/// redirection is not followed.
#[test]
fn private_targets_are_not_reached() {
    on_both(async |db| {
        let store = db.store().await;
        let (port, came) = receiver(Vec::new()).await;
        let url = format!("https://localhost:{port}/");
        let (subscription, targets) = delivering(&store, url, Guard::default()).await;
        append(&store, subscription, "1").await;
        targets.wake.notify_one();
        let refused = until(&store, subscription, |one| one.attempts > 0).await;
        assert!(refused.error.unwrap().contains("not public"));
        assert_eq!(refused.state, DeliveryState::Pending);
        assert!(came.lock().unwrap().is_empty());
    });
}

/// What a killed node had taken is tried again at once when it is back, and by nobody else before
/// its claim is over.
#[test]
fn claims_end_with_their_node() {
    on_both(async |db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let fields = SubscriptionFields {
            url: "https://example.com/".into(),
            events: vec!["*".into()],
            description: None,
            enabled: true,
        };
        let secret = Secret::new(SECRET.into());
        let made = store.create_subscription(ours, &fields, &secret, &Actor::Server).await.unwrap();
        append(&store, made.id, "1").await;
        let (killed, other) = (NodeId::new(), NodeId::new());
        let minute = Duration::from_secs(60);
        let claim = async |node| store.claim_deliveries(made.id, node, minute, 10).await.unwrap();
        assert_eq!(claim(killed).await.len(), 1);
        assert!(claim(other).await.is_empty() && claim(killed).await.is_empty());
        assert_eq!(store.release_deliveries(other).await.unwrap(), 0);
        assert_eq!(store.release_deliveries(killed).await.unwrap(), 1);
        assert_eq!(claim(killed).await.len(), 1);
    });
}
