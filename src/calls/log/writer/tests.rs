//! A writer at work on both databases: what is told, and what is kept of it.

use std::sync::Arc;

use adapters::agent::{Direction, EndedBy};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Writer;
use crate::calls::cause::Cause;
use crate::calls::log::{Began, CallFact, Ended, LogHandle, Source, State, What};
use crate::store::tests::on_both;
use crate::store::{NodeId, OrganisationId, Store, StoreError, Timestamp};
use crate::telemetry::LogMetrics;

mod closed;
mod effects;
mod found;
mod recordings;
mod refused;
mod transfers;

const BEGAN_US: i64 = 1_700_000_000_000_000;

/// A writer at work.
struct Log {
    handle: LogHandle,
    writer: JoinHandle<()>,
}

impl Log {
    fn start(store: &Store, node: NodeId) -> Self {
        let (handle, queue) = LogHandle::new(Arc::new(LogMetrics::default()));
        let (writer, _) = Writer::new(store.clone(), node, queue);
        Self { handle, writer: tokio::spawn(writer.run()) }
    }

    /// Ends as a killed process does: what it knew is gone.
    async fn kill(self) {
        self.writer.abort();
        let _ = self.writer.await;
    }
}

fn fact(call: Uuid, source: Source, id: u32, after_ms: i64, what: What) -> CallFact {
    CallFact { call, source, id: id.to_string(), at_us: BEGAN_US + after_ms * 1_000, what }
}

/// What the node tells of an answered call.
fn told(call: Uuid, organisation: OrganisationId) -> Vec<CallFact> {
    let began = Began {
        organisation: organisation.0,
        direction: Direction::Inbound,
        from: "+4930123456".into(),
        to: "100".into(),
        trunk: Some("main".into()),
        agent: "helper".into(),
        configuration: None,
    };
    let ended = Ended {
        by: Some(EndedBy::Agent),
        answered: Some(true),
        duration_ms: Some(60_000),
        ..Ended::new(Cause::Normal)
    };
    let what = [
        (0, What::Initiated(Box::new(began))),
        (10, What::Ringing),
        (20, What::AgentConnected { agent: "helper".into(), resumed: false }),
        (30, What::Answered),
        (40, What::Hold { on: true }),
        (60_030, What::Ended(Box::new(ended))),
        (60_031, What::Quality(Box::default())),
    ];
    (0..).zip(what).map(|(id, (at, what))| fact(call, Source::Node, id, at, what)).collect()
}
