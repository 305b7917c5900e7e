//! What configurations look like over HTTP.

use serde_json::{Value, json};

use super::{caller_id, object, providers, server};
use crate::http::openapi::schema;

pub(super) fn item_fields() -> Vec<(&'static str, Value)> {
    let time = || schema::format("date-time");
    let mut fields = vec![
        ("id", schema::format("uuid")),
        ("name", schema::text(64)),
        ("provider", schema::word(&providers::names())),
        ("connectivity", schema::word(&["api", "sip"])),
        ("is_default_outbound", schema::flag()),
        ("inactive", schema::flag()),
        ("inactive_since", schema::nullable(time())),
        ("inactive_reason", schema::nullable(json!({"type": "string"}))),
        ("phone_number_count", schema::described(schema::count(), "active ones")),
        ("is_ready_for_outbound", schema::flag()),
        ("outbound_blocked_reason", schema::nullable(json!({"type": "string"}))),
    ];
    fields.push((caller_id::FIELD, caller_id::schema()));
    fields.extend(object::limits_schema());
    fields.extend(object::stamp_schema());
    fields
}

pub(super) fn detail_fields() -> Vec<(&'static str, Value)> {
    let text = || json!({"type": "string"});
    let step = schema::object(
        &[
            ("key", text()),
            ("title", text()),
            ("description", text()),
            ("complete", schema::flag()),
            ("blocks_outbound", schema::flag()),
        ],
        &[],
    );
    let mut fields = item_fields();
    fields.extend([
        ("credentials", schema::described(schema::any_object(), "secrets are masks")),
        ("setup_checklist", schema::list(step)),
        (
            "setup_files",
            schema::described(
                schema::list(schema::object(&[("file", text()), ("text", text())], &[])),
                "what is to be written into files of one's own PBX",
            ),
        ),
        ("supports_trunks", schema::flag()),
        (
            "inbound_url",
            schema::described(
                schema::nullable(text()),
                "where its carrier asks about calls; for keys of scope admin",
            ),
        ),
        ("trunks", schema::list(schema::named("Trunk"))),
        (
            "sip_connectivity",
            schema::described(
                schema::nullable(schema::object(&server::edge_schema(), &[])),
                "what the other side of a SIP peer has to know; null if it is none",
            ),
        ),
        (
            "status",
            schema::described(
                schema::nullable(schema::named("TrunkStatus")),
                "how the SIP peer that it describes itself stands; null if it is none in service",
            ),
        ),
    ]);
    fields
}

/// What is written: all of it at first, later what changes.
pub(super) fn write_schema(new: bool) -> Value {
    let config = json!({
        "oneOf": providers::names().iter().map(|name| schema::named(name)).collect::<Vec<_>>(),
        "discriminator": {"propertyName": "provider"},
    });
    let fields = [("name", schema::text(64)), ("config", config)];
    let mut optional = vec![("is_default_outbound", schema::nullable(schema::flag()))];
    optional.push((caller_id::FIELD, schema::nullable(caller_id::schema())));
    optional.extend(object::limits_schema());
    if new {
        return schema::object(&fields, &optional);
    }
    optional.extend(fields);
    schema::object(&[], &optional)
}
