//! Which node this is, among those that may share a database, and what becomes of those that died.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::{fs, io};

use tokio::sync::watch;

use crate::calls::log::LogHandle;
use crate::store::nodes::{BEAT, Node};
use crate::store::{NodeId, Store, StoreError, Timestamp};

/// Calls of dead nodes that are closed in one go.
const CLOSED_MAX: u32 = 10_000;

/// Name of the file in the data folder that holds the node's id.
const FILE: &str = "node-id";

/// The id of the node whose data lie in `folder`; made at the first start, and kept.
///
/// # Errors
///
/// When the file cannot be read or made, or holds no id; the message names it.
pub fn id(folder: &Path) -> io::Result<NodeId> {
    let path = folder.join(FILE);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match fs::read_to_string(&path) {
        Ok(text) => {
            let unreadable = || io::Error::new(ErrorKind::InvalidData, "holds no id of a node");
            NodeId::parse(text.trim()).ok_or_else(unreadable).map_err(named)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let id = NodeId::new();
            fs::create_dir_all(folder).and_then(|()| write(&path, id)).map_err(named)?;
            Ok(id)
        }
        Err(error) => Err(named(error)),
    }
}

/// Writes the file whole or not at all: half an id would keep the node from starting.
fn write(path: &Path, id: NodeId) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = fs::File::create(&draft)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(draft, path)
}

/// This node as others see it, which reach it at `address`.
pub fn describe(id: NodeId, address: String) -> Node {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let now = Timestamp::now();
    Node {
        id,
        name: name.trim().to_owned(),
        address,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        is_draining: false,
        started_at: now,
        heartbeat_at: now,
    }
}

/// Says again and again that `node` lives, and closes the calls of those that say so no more. A
/// database that no other node shares needs none of it: nobody is there to hear it.
pub async fn live(store: Store, node: Node, log: LogHandle, drain: watch::Receiver<bool>) {
    if !store.is_shared() {
        return;
    }
    loop {
        tokio::time::sleep(BEAT).await;
        let is_draining = *drain.borrow();
        if let Err(error) = beat(&store, &node, is_draining).await {
            tracing::warn!(%error, "this node cannot say that it lives");
            continue;
        }
        match close_dead(&store, &log).await {
            Ok(0) => {}
            Ok(closed) => tracing::warn!(closed, "calls of dead nodes are closed"),
            Err(error) => tracing::warn!(%error, "dead nodes cannot be looked for"),
        }
    }
}

/// Says that `node` lives. One that was silent for so long that it counts as dead begins anew: what
/// it tells of its calls is believed more than that they were lost.
async fn beat(store: &Store, node: &Node, is_draining: bool) -> Result<(), StoreError> {
    let now = Timestamp::now();
    if !store.beat(node.id, is_draining, now).await? {
        tracing::warn!("other nodes took this one for dead");
        store.start_node(&Node { is_draining, heartbeat_at: now, ..node.clone() }).await?;
    }
    Ok(())
}

/// Buries nodes that have gone silent, and closes the calls that no living node holds. Several may
/// do so at once: a call is lost once. How many there were.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn close_dead(store: &Store, log: &LogHandle) -> Result<usize, StoreError> {
    while let Some(dead) = store.bury_one(Timestamp::now()).await? {
        tracing::warn!(node = %dead, "a node is dead");
    }
    let calls = store.abandoned_calls(CLOSED_MAX).await?;
    for call in &calls {
        log.lost(*call).await;
    }
    Ok(calls.len())
}
