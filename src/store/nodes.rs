//! Nodes that share the store, and what one of them at a time does.
//!
//! A node that lives says so every [`BEAT`]; one that has not for [`DEAD_AFTER`] is dead, and
//! whoever buries it, one of those that try, sees to what it left behind. A lease is held until it
//! expires; its token grows with each holder, so that what a late holder writes can be told from
//! what the present one does. Times are handed in: those of the nodes must agree to within a few
//! seconds.

use std::time::Duration;

use super::id::{NodeId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError};

/// How often a node says that it lives.
pub const BEAT: Duration = Duration::from_secs(5);
/// Silence after which a node is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(20);

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Names it.
    pub id: NodeId,
    /// For people: the name of the machine.
    pub name: String,
    /// Where other nodes reach its API.
    pub address: String,
    /// Version of its program.
    pub version: String,
    /// True if it takes no more calls.
    pub is_draining: bool,
    /// When it started.
    pub started_at: Timestamp,
    /// When it last said that it lives.
    pub heartbeat_at: Timestamp,
}

/// A lease that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Who holds it.
    pub node: NodeId,
    /// Greater than that of any earlier holder.
    pub token: i64,
    /// Until when it is held, unless it is renewed.
    pub expires_at: Timestamp,
}

const SELECT: &str = "SELECT id, name, address, version, is_draining, started_at, heartbeat_at \
                      FROM nodes WHERE stopped_at IS NULL";

fn read(row: &Row) -> Result<Node, StoreError> {
    Ok(Node {
        id: row.get("id")?,
        name: row.get("name")?,
        address: row.get("address")?,
        version: row.get("version")?,
        is_draining: row.get("is_draining")?,
        started_at: row.get("started_at")?,
        heartbeat_at: row.get("heartbeat_at")?,
    })
}

impl Store {
    /// Enters a node that starts.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn start_node(&self, node: &Node) -> Result<(), StoreError> {
        let query = Query::new(
            "INSERT INTO nodes (id, name, address, version, is_draining, started_at, \
             heartbeat_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET \
             name = excluded.name, address = excluded.address, version = excluded.version, \
             is_draining = excluded.is_draining, started_at = excluded.started_at, \
             heartbeat_at = excluded.heartbeat_at, stopped_at = NULL",
        );
        let query = query.bind(node.id).bind(&node.name).bind(&node.address).bind(&node.version);
        let query = query.bind(node.is_draining).bind(node.started_at).bind(node.heartbeat_at);
        self.execute(query).await.map(drop)
    }

    /// Says that a node lives. False if it was buried meanwhile: then others have seen to its
    /// calls, and it must start anew.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn beat(
        &self,
        id: NodeId,
        is_draining: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = Query::new(
            "UPDATE nodes SET heartbeat_at = $1, is_draining = $2 WHERE id = $3 \
             AND stopped_at IS NULL",
        );
        Ok(self.execute(query.bind(now).bind(is_draining).bind(id)).await? == 1)
    }

    /// Takes a node out that ends in order, and frees its leases.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn stop_node(&self, id: NodeId, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let query = Query::new("UPDATE nodes SET stopped_at = $1 WHERE id = $2");
        tx.execute(query.bind(now).bind(id)).await?;
        tx.execute(free_all(id, now)).await?;
        tx.commit().await
    }

    /// The nodes that live, as far as is known.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        let rows = self.fetch_all(Query::new(SELECT).push(" ORDER BY started_at, id")).await?;
        rows.iter().map(read).collect()
    }

    /// Buries a node that has been silent for [`DEAD_AFTER`], and frees its leases. `None` if none
    /// is; of several that try, one gets it. It then closes the calls that the node left.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn bury_one(&self, now: Timestamp) -> Result<Option<NodeId>, StoreError> {
        let dead = now.before(DEAD_AFTER);
        let mut tx = self.begin().await?;
        let query = Query::new(
            "UPDATE nodes SET stopped_at = $1 WHERE stopped_at IS NULL AND heartbeat_at <= $2 \
             AND id = (SELECT id FROM nodes WHERE stopped_at IS NULL AND heartbeat_at <= $2 \
             ORDER BY id LIMIT 1) RETURNING id",
        );
        let Some(row) = tx.fetch_optional(query.bind(now).bind(dead)).await? else {
            return Ok(None);
        };
        let id = row.get("id")?;
        tx.execute(free_all(id, now)).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Takes a lease, if nobody holds it.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn acquire(
        &self,
        name: &str,
        node: NodeId,
        now: Timestamp,
        held: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let expires_at = now.after(held);
        let mut tx = self.begin().await?;
        let query = Query::new(
            "INSERT INTO leases (name, node_id, token, acquired_at, expires_at) \
             VALUES ($1, $2, 1, $3, $4) ON CONFLICT (name) DO UPDATE SET \
             node_id = excluded.node_id, token = leases.token + 1, \
             acquired_at = excluded.acquired_at, expires_at = excluded.expires_at \
             WHERE leases.expires_at <= excluded.acquired_at RETURNING token",
        );
        let query = query.bind(name).bind(node).bind(now).bind(expires_at);
        let Some(row) = tx.fetch_optional(query).await? else { return Ok(None) };
        let token = row.get("token")?;
        tx.commit().await?;
        Ok(Some(Lease { name: name.to_owned(), node, token, expires_at }))
    }

    /// Holds a lease for longer. False if it has expired or another has it: then it is lost.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached: then it is unknown, and lost once it expires.
    pub async fn renew(
        &self,
        lease: &mut Lease,
        now: Timestamp,
        held: Duration,
    ) -> Result<bool, StoreError> {
        let expires_at = now.after(held);
        let query = Query::new(
            "UPDATE leases SET expires_at = $1 WHERE name = $2 AND node_id = $3 AND token = $4 \
             AND expires_at > $5",
        );
        let query = query.bind(expires_at).bind(&lease.name).bind(lease.node).bind(lease.token);
        if self.execute(query.bind(now)).await? == 0 {
            return Ok(false);
        }
        lease.expires_at = expires_at;
        Ok(true)
    }

    /// Gives a lease back.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn release(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let query = Query::new(
            "UPDATE leases SET expires_at = $1 WHERE name = $2 AND node_id = $3 AND token = $4 \
             AND expires_at > $1",
        );
        let query = query.bind(now).bind(&lease.name).bind(lease.node).bind(lease.token);
        self.execute(query).await.map(drop)
    }
}

/// Ends all leases of a node.
fn free_all(node: NodeId, now: Timestamp) -> Query {
    let query = "UPDATE leases SET expires_at = $1 WHERE node_id = $2 AND expires_at > $1";
    Query::new(query).bind(now).bind(node)
}
