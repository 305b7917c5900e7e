//! Sockets of events that carriers open themselves: they are let in by HTTP, kept as those that we
//! open, and requests to the carrier go over them. A carrier opens one again when it is lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adapters::exchange::{HttpRequest, HttpResponse};
use adapters::flow::EventsSocket;
use adapters::reverse::Reverse;
use hyper::upgrade::Upgraded;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;
use uuid::Uuid;

use super::Account;
use super::events::{End, EventSockets, unwanted};
use super::socket::{Socket, SocketError};
use crate::calls::tidings::TidingsKind;

/// Requests that may wait to be sent over one socket.
const ASKED_MAX: usize = 1_024;
/// Requests without an answer; beyond it those that nobody waits for are forgotten.
const UNANSWERED_MAX: usize = 4_096;
/// How long a socket is kept waiting that this server must not have, in milliseconds: its carrier
/// opens the next at once.
const TURNED_AWAY_MS: u64 = 1_000;

/// A request on its way to a carrier.
#[derive(Debug)]
pub(super) struct Asked {
    request: HttpRequest,
    reply: oneshot::Sender<HttpResponse>,
}

#[derive(Debug, Default)]
struct Known {
    /// Where sockets are awaited, by configuration.
    doors: HashMap<Uuid, mpsc::Sender<Upgraded>>,
    /// Where requests go, of configurations whose socket is there.
    lines: HashMap<Uuid, mpsc::Sender<Asked>>,
}

/// The sockets that carriers open. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tunnels(Arc<Mutex<Known>>);

impl Tunnels {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a socket of a configuration goes once it is open; none if nobody here awaits one.
    pub fn door(&self, configuration: Uuid) -> Option<mpsc::Sender<Upgraded>> {
        self.known().doors.get(&configuration).cloned()
    }

    /// Sends a request over the socket of a configuration; none if there is no such socket.
    pub(super) fn ask(
        &self,
        configuration: Uuid,
        request: HttpRequest,
    ) -> Option<oneshot::Receiver<HttpResponse>> {
        let line = self.known().lines.get(&configuration).cloned()?;
        let (reply, answer) = oneshot::channel();
        line.try_send(Asked { request, reply }).ok()?;
        Some(answer)
    }
}

/// Awaits sockets until it is dropped.
struct Door {
    tunnels: Tunnels,
    configuration: Uuid,
    comes: mpsc::Receiver<Upgraded>,
}

impl Door {
    fn open(tunnels: Tunnels, configuration: Uuid) -> Self {
        let (door, comes) = mpsc::channel(1);
        tunnels.known().doors.insert(configuration, door);
        Self { tunnels, configuration, comes }
    }

    /// The next socket. One that its carrier gave up meanwhile tells so when it is read.
    async fn next(&mut self) -> Upgraded {
        match self.comes.recv().await {
            Some(upgraded) => upgraded,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.tunnels.known().doors.remove(&self.configuration);
    }
}

/// Reads a message: which request it answers, and how.
type Answers = fn(&[u8]) -> Option<(u64, HttpResponse)>;

/// What is asked over a socket, and who waits for the answers. Until it is dropped, requests of its
/// configuration come here.
pub(super) struct Line {
    reverse: Reverse,
    tunnels: Tunnels,
    configuration: Uuid,
    asked: mpsc::Receiver<Asked>,
    waiting: HashMap<u64, oneshot::Sender<HttpResponse>>,
    number: u64,
}

impl Line {
    fn new(reverse: Reverse, tunnels: Tunnels, configuration: Uuid) -> Self {
        let (line, asked) = mpsc::channel(ASKED_MAX);
        tunnels.known().lines.insert(configuration, line);
        Self { reverse, tunnels, configuration, asked, waiting: HashMap::new(), number: 0 }
    }

    /// The next message that is to be sent.
    pub(super) async fn next(line: &mut Option<Self>) -> String {
        let Some(line) = line else { return std::future::pending().await };
        loop {
            let Some(Asked { request, reply }) = line.asked.recv().await else {
                return std::future::pending().await;
            };
            line.number += 1;
            if let Some(message) = (line.reverse.ask)(&request, line.number) {
                if line.waiting.len() >= UNANSWERED_MAX {
                    line.waiting.retain(|_, reply| !reply.is_closed());
                }
                line.waiting.insert(line.number, reply);
                return message;
            }
        }
    }

    /// What tells answers from events.
    pub(super) const fn reads(&self) -> Answers {
        self.reverse.answer
    }

    /// A request was answered.
    pub(super) fn answered(&mut self, number: u64, answer: HttpResponse) {
        if let Some(reply) = self.waiting.remove(&number) {
            // Whoever asked may have waited long enough.
            let _ = reply.send(answer);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tunnels.known().lines.remove(&self.configuration);
    }
}

impl EventSockets {
    /// Keeps the sockets that a carrier opens for one configuration: one at a time, the last one;
    /// of servers that share the store the one that it comes to, unless another has one.
    pub(super) async fn keep_reverse(
        self,
        account: Arc<Account>,
        (events, reverse): (EventsSocket, Reverse),
        wanted: watch::Receiver<()>,
    ) {
        let configuration = account.id;
        if let Err(error) = (events.connect)(&account.config) {
            // It is to be completed, and then begins anew.
            return tracing::info!(%configuration, %error, "no socket of events yet");
        }
        let tunnels = self.exchanges.tunnels();
        let mut door = Door::open(tunnels.clone(), configuration);
        let (mut next, mut again) = (None, false);
        loop {
            let upgraded = match next.take() {
                Some(upgraded) => upgraded,
                None => tokio::select! {
                    upgraded = door.next() => upgraded,
                    () = unwanted(wanted.clone()) => return,
                },
            };
            let socket = Socket::accepted(upgraded);
            let Ok(mut held) = self.try_lease(&account).await else {
                tracing::info!(%configuration, "another server has the socket of events");
                sleep(Duration::from_millis(TURNED_AWAY_MS)).await;
                socket.close().await;
                continue;
            };
            let line = Line::new(reverse, tunnels.clone(), configuration);
            let lost = self.lost(&mut held, wanted.clone());
            let end = tokio::select! {
                end = self.serve((socket, Some(line)), &account, events, lost, &mut again) => end,
                upgraded = door.next() => {
                    next = Some(upgraded);
                    SocketError::Closed.into()
                }
            };
            // Nothing is placed here any more when another server begins.
            self.tell(&account, TidingsKind::Down).await;
            self.give_back(&held).await;
            match end {
                End::Unwanted => return,
                end => tracing::warn!(%configuration, why = %end, "no socket of events"),
            }
        }
    }
}
