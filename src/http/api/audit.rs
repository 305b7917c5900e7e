//! The audit log over HTTP.

use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::auth::Caller;
use crate::http::openapi::{Resource, get, schema};
use crate::http::page::{self, Page, Wanted};
use crate::http::problem::Problem;
use crate::store::{AuditId, Timestamp};

pub(super) fn resource() -> Resource {
    let text = || json!({"type": "string"});
    let entry = schema::object(
        &[
            ("id", schema::format("uuid")),
            ("at", schema::format("date-time")),
            ("actor", schema::described(text(), "such as key:9f2c, file, command or server")),
            ("action", text()),
            ("object_type", text()),
            ("object_id", text()),
            ("details", schema::any_object()),
        ],
        &[],
    );
    Resource {
        tag: "audit",
        about: "Who changed what.",
        endpoints: vec![
            get("/api/v1/audit", "list_audit", list)
                .summary("Lists what was changed, the latest first.")
                .query(page::parameters())
                .answers_json(200, "the entries", page::schema_of(schema::named("AuditEntry"))),
        ],
        schemas: vec![("AuditEntry", entry)],
    }
}

#[derive(Serialize)]
struct Entry {
    id: Uuid,
    at: Timestamp,
    actor: String,
    action: String,
    object_type: String,
    object_id: String,
    details: Value,
}

/// `GET /api/v1/audit`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    wanted: Wanted,
) -> Result<axum::Json<Page<Entry>>, Problem> {
    let before = wanted.after.map(AuditId);
    let found = state.store.audit_entries(caller.organisation, before, wanted.with_next()).await?;
    let page = Page::cut(found, wanted.limit, |entry| entry.id.0);
    Ok(axum::Json(page.map(|entry| Entry {
        id: entry.id.0,
        at: entry.at,
        actor: entry.actor,
        action: entry.action,
        object_type: entry.object_type,
        object_id: entry.object_id,
        details: entry.details,
    })))
}
