//! What the control plane tells workers about links.

use std::sync::Arc;

use super::link::{End, LinkMetrics};
use super::mail::{LinkId, Mailbox, Over, SharedOver};
use super::port::Port;
use super::{DOWN_BYTES, UP_BYTES, ring};
use crate::agent::socket::AgentSocket;
use crate::agent::wire::CloseCode;

/// What the control plane tells a worker about links.
#[derive(Debug)]
pub enum Order {
    /// The worker has this link.
    Open(Box<LinkEnds>),
    /// Calls of the worker reach a link by this.
    Join(Box<Port>),
    /// Close this link of the worker.
    Close(LinkId, CloseCode),
}

/// A link as the worker gets it that has it.
#[derive(Debug)]
pub struct LinkEnds {
    pub(super) id: LinkId,
    pub(super) socket: AgentSocket,
    pub(super) ends: Vec<End>,
    pub(super) over: SharedOver,
    pub(super) metrics: Arc<LinkMetrics>,
}

/// Makes a link of a socket whose handshake is done: `owner` is the index of the worker that gets
/// it, among those that have these mailboxes. Returns what the owner is told, and what each worker
/// is told first.
pub fn connect(
    id: LinkId,
    socket: AgentSocket,
    (owner, boxes): (usize, &[Arc<Mailbox>]),
    metrics: &Arc<LinkMetrics>,
) -> (Order, Vec<Order>) {
    let over = SharedOver::new(Over::default());
    let mut ends = Vec::with_capacity(boxes.len());
    let mut ports = Vec::with_capacity(boxes.len());
    for (index, mail) in boxes.iter().enumerate() {
        let (up, from_call) = ring::ring(UP_BYTES);
        let (to_call, down) = ring::ring(DOWN_BYTES);
        let is_local = index == owner;
        let owner_mail = Arc::clone(boxes.get(owner).unwrap_or(mail));
        ends.push(End {
            up: from_call,
            down: to_call,
            mail: Arc::clone(mail),
            is_local,
            given: false,
        });
        let port =
            Port { id, up, down: Some(down), mail: owner_mail, is_local, over: Arc::clone(&over) };
        ports.push(Order::Join(Box::new(port)));
    }
    let metrics = Arc::clone(metrics);
    (Order::Open(Box::new(LinkEnds { id, socket, ends, over, metrics })), ports)
}
