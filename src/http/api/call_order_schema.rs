//! What the OpenAPI document tells of orders of calls.

use serde_json::{Value, json};

use crate::http::openapi::schema;
use crate::orders::Outcome;
use crate::orders::policy::{DELAY_S_MAX, DELAY_S_MIN, TRIES_MAX};
use crate::orders::rules::{CALLS_AT_ONCE, CALLS_AT_ONCE_MAX, CALLS_PER_MINUTE_MAX};
use crate::store::call_orders::OrderState;
use crate::store::call_recipients::RecipientState;

/// Recipients of one request.
pub(super) const RECIPIENTS_AT_ONCE: usize = 500;
/// Longest name.
pub(super) const NAME_CHARS_MAX: usize = 64;
/// Longest address.
pub(super) const TO_CHARS_MAX: usize = 255;
/// Windows, and closed days.
const ENTRIES_MAX: usize = 128;

fn nullable_time() -> Value {
    schema::nullable(schema::format("date-time"))
}

fn at_most(mut list: Value, max: usize) -> Value {
    if let Some(list) = list.as_object_mut() {
        list.insert("maxItems".to_owned(), json!(max));
    }
    list
}

/// How the calls of an order are placed.
pub(super) fn template() -> Value {
    let text = || json!({"type": "string"});
    let seconds = || schema::nullable(schema::count());
    schema::object(
        &[("agent", schema::described(text(), "name of the agent that talks"))],
        &[
            ("trunk", schema::nullable(text())),
            ("telephony_configuration_id", schema::nullable(schema::format("uuid"))),
            ("from", schema::nullable(text())),
            ("from_name", schema::nullable(text())),
            ("privacy", schema::nullable(schema::word(&["none", "id"]))),
            ("headers", schema::texts()),
            ("amd", schema::described(schema::flag(), "a carrier tells who answered, if it can")),
            ("ring_timeout_s", seconds()),
            ("max_duration_s", seconds()),
            ("variables", schema::texts()),
        ],
    )
}

/// Hours of an order.
pub(super) fn hours() -> Value {
    let texts = || at_most(schema::list(schema::text(64)), ENTRIES_MAX);
    schema::object(
        &[("open", schema::described(texts(), "windows, as `mon-fri 09:00-17:30`"))],
        &[
            ("closed", schema::described(texts(), "days, as `2026-12-24`, or `12-25` of any year")),
            ("time_zone", schema::described(schema::text(64), "of recipients that name none")),
        ],
    )
}

/// When is tried again.
pub(super) fn retry() -> Value {
    let rule = || {
        let delay = || schema::integer(DELAY_S_MIN.cast_signed(), DELAY_S_MAX.cast_signed());
        let rule = schema::object(
            &[("tries", schema::integer(1, i64::from(TRIES_MAX))), ("delay_s", delay())],
            &[("delay_max_s", schema::nullable(delay()))],
        );
        schema::nullable(rule)
    };
    schema::object(
        &[],
        &[("busy", rule()), ("no_answer", rule()), ("failed", rule()), ("machine", rule())],
    )
}

fn new_recipient() -> Value {
    schema::object(
        &[("to", schema::text(TO_CHARS_MAX))],
        &[("time_zone", schema::nullable(schema::text(64))), ("variables", schema::texts())],
    )
}

/// Recipients to be added.
pub(super) fn new_recipients() -> Value {
    at_most(schema::list(new_recipient()), RECIPIENTS_AT_ONCE)
}

/// An order to be made.
pub(super) fn new_order() -> Value {
    let calls = schema::integer(1, i64::from(CALLS_AT_ONCE_MAX));
    let rate = schema::integer(1, i64::from(CALLS_PER_MINUTE_MAX));
    let described = |value, text| schema::described(schema::nullable(value), text);
    let at_once = format!("calls at once, {CALLS_AT_ONCE} if absent");
    schema::object(
        &[("call", schema::named("CallTemplate"))],
        &[
            ("name", schema::nullable(schema::text(NAME_CHARS_MAX))),
            ("to", described(schema::text(TO_CHARS_MAX), "the one recipient, or `recipients`")),
            ("recipients", new_recipients()),
            ("at", described(schema::format("date-time"), "not before this; at once if absent")),
            ("expires_at", described(schema::format("date-time"), "not from this on")),
            ("hours", schema::nullable(schema::named("CallHours"))),
            ("retry", schema::named("CallRetry")),
            ("max_calls", described(calls, &at_once)),
            ("calls_per_minute", described(rate, "as many as there is room for if absent")),
            ("paused", schema::described(schema::flag(), "it waits to be resumed")),
        ],
    )
}

/// An order.
pub(super) fn order() -> Value {
    let states = OrderState::ALL.map(OrderState::as_str);
    let count = |state: RecipientState| (state.as_str(), schema::count());
    let progress = schema::object(&RecipientState::ALL.map(count), &[]);
    schema::object(
        &[
            ("id", schema::format("uuid")),
            ("name", schema::nullable(schema::text(NAME_CHARS_MAX))),
            ("state", schema::word(&states)),
            ("call", schema::named("CallTemplate")),
            ("at", schema::format("date-time")),
            ("expires_at", nullable_time()),
            ("hours", schema::nullable(schema::named("CallHours"))),
            ("retry", schema::named("CallRetry")),
            ("max_calls", schema::count()),
            ("calls_per_minute", schema::nullable(schema::count())),
            ("created_at", schema::format("date-time")),
            ("ended_at", nullable_time()),
        ],
        &[("recipients", schema::described(progress, "how many stand how"))],
    )
}

fn outcome() -> Value {
    schema::nullable(schema::word(&Outcome::ALL.map(Outcome::as_str)))
}

/// A recipient.
pub(super) fn recipient() -> Value {
    let states = RecipientState::ALL.map(RecipientState::as_str);
    let text = || json!({"type": "string"});
    schema::object(
        &[
            ("id", schema::format("uuid")),
            ("to", text()),
            ("time_zone", schema::nullable(text())),
            ("variables", schema::texts()),
            ("state", schema::word(&states)),
            ("outcome", schema::described(outcome(), "what the last call came to")),
            ("reason", schema::nullable(text())),
            ("tries", schema::described(schema::count(), "calls so far")),
            ("due_at", schema::described(nullable_time(), "when it is called next, if it waits")),
            ("ended_at", nullable_time()),
        ],
        &[],
    )
}

/// A call of an order.
pub(super) fn ordered_call() -> Value {
    schema::object(
        &[
            ("call_id", schema::format("uuid")),
            ("recipient_id", schema::format("uuid")),
            ("number", schema::described(schema::count(), "which of its recipient's")),
            ("placed_at", schema::format("date-time")),
            ("outcome", outcome()),
            ("cause", schema::nullable(json!({"type": "string"}))),
            ("ended_at", nullable_time()),
        ],
        &[],
    )
}
