//! The providers that a configuration may be of.

use adapters::spec::ProviderSpec;
use adapters::table::PROVIDERS;
use adapters::ui;
use serde_json::{Value, json};

use crate::http::openapi::{Resource, get, schema};
use crate::keys::Scope;

pub(super) fn resource() -> Resource {
    let providers = schema::list(schema::named("ProviderForm"));
    Resource {
        tag: "providers",
        about: "Where calls come from and go to: what each provider wants to be told.",
        endpoints: vec![
            get("/api/v1/organizations/telephony-providers/metadata", "list_providers", list)
                .summary("Lists the providers, each with the form of its configuration.")
                .scope(Scope::Read)
                .answers_json(
                    200,
                    "the providers",
                    schema::object(&[("providers", providers)], &[]),
                ),
        ],
        schemas: vec![("ProviderForm", form_schema())],
    }
}

fn form_schema() -> Value {
    let text = || json!({"type": "string"});
    schema::object(
        &[
            ("provider", schema::word(&names())),
            ("display_name", text()),
            ("summary", text()),
            ("connectivity", schema::word(&["api", "sip"])),
            ("docs_url", schema::nullable(text())),
            ("requires_caller_id", schema::flag()),
            ("capabilities", schema::list(text())),
            ("sections", schema::list(schema::any_object())),
            ("fields", schema::list(schema::any_object())),
            ("trunk_fields", schema::nullable(schema::list(schema::any_object()))),
        ],
        &[],
    )
}

/// The names of all providers.
pub(super) fn names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|spec| spec.name).collect()
}

/// What a provider wants to be told, with its name.
pub(super) fn config_schema(spec: &ProviderSpec) -> Value {
    let mut config = ui::schema(spec.ui.fields);
    let provider = json!({"const": spec.name});
    if let Some(properties) = config.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("provider".to_owned(), provider);
    }
    let required = config.as_object_mut().map(|config| config.entry("required"));
    if let Some(required) = required.and_then(|r| r.or_insert_with(|| json!([])).as_array_mut()) {
        required.push(json!("provider"));
    }
    config
}

/// `GET /api/v1/organizations/telephony-providers/metadata`
async fn list() -> axum::Json<Value> {
    let forms: Vec<Value> = PROVIDERS.iter().map(|spec| ui::form(spec)).collect();
    axum::Json(json!({ "providers": forms }))
}
