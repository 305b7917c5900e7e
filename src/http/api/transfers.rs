//! The transfers of a call, whatever became of them.

use std::collections::BTreeMap;

use axum::extract;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{owned, written};
use crate::calls::transfer::{Kind, State};
use crate::http::auth::Caller;
use crate::http::openapi::{Resource, get, schema};
use crate::http::page::{self, Page, Wanted};
use crate::http::path::Path;
use crate::http::problem::{self, Problem};
use crate::keys::Scope;
use crate::store::Timestamp;
use crate::store::transfers::TransferRecord;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "transfers",
        about: "What became of handing a call to somebody else.",
        endpoints: vec![
            get("/api/v1/calls/{id}/transfers", "list_call_transfers", list)
                .summary("Lists the transfers of a call, in the order in which they began.")
                .scope(Scope::Read)
                .query(page::parameters())
                .answers_json(200, "the transfers", page::schema_of(schema::named("Transfer")))
                .refuses(&[problem::Kind::Unavailable]),
        ],
        schemas: vec![("Transfer", transfer_schema())],
    }
}

fn transfer_schema() -> serde_json::Value {
    let time = || schema::nullable(schema::format("date-time"));
    let text = || json!({"type": "string"});
    let kinds = Kind::ALL.map(Kind::as_str);
    schema::object(
        &[
            ("id", schema::format("uuid")),
            ("kind", schema::word(&kinds)),
            ("state", schema::word(&State::WORDS)),
            ("destination", schema::described(text(), "as it was named")),
            ("other_call_id", schema::nullable(schema::format("uuid"))),
            ("options", schema::texts()),
            ("cause", schema::described(schema::nullable(text()), "why nothing came of it")),
            ("requested_at", schema::format("date-time")),
            ("updated_at", schema::format("date-time")),
            ("ended_at", time()),
        ],
        &[],
    )
}

/// A transfer as the API shows it.
#[derive(Serialize)]
struct TransferView {
    id: Uuid,
    kind: &'static str,
    state: &'static str,
    destination: String,
    other_call_id: Option<Uuid>,
    options: BTreeMap<String, String>,
    cause: Option<String>,
    requested_at: Timestamp,
    updated_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl From<TransferRecord> for TransferView {
    fn from(record: TransferRecord) -> Self {
        Self {
            id: record.id,
            kind: record.kind.as_str(),
            state: record.state.as_str(),
            destination: record.destination,
            other_call_id: record.other_call,
            options: record.options,
            cause: record.cause,
            requested_at: record.created_at,
            updated_at: record.updated_at,
            ended_at: record.ended_at,
        }
    }
}

/// `GET /api/v1/calls/{id}/transfers`
async fn list(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    wanted: Wanted,
) -> Result<axum::Json<Page<TransferView>>, Problem> {
    // What was told before this request is in the answer.
    written(&state).await?;
    owned(&state, caller.organisation, id).await?;
    let limit = wanted.with_next();
    let found = state.store.transfers(caller.organisation, id, wanted.after, limit).await?;
    let page = Page::cut(found, wanted.limit, |transfer| transfer.id);
    Ok(axum::Json(page.map(TransferView::from)))
}
