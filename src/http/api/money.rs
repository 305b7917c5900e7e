//! What the calls of an organisation may cost, and have cost, over HTTP.

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::gone;
use super::object::Fields;
use crate::calls::request::Request;
use crate::http::auth::Caller;
use crate::http::openapi::{Resource, get, schema};
use crate::http::problem::Problem;
use crate::keys::Scope;
use crate::quota::amount::{Amount, Currency};
use crate::quota::credit::Cap;
use crate::spending;
use crate::store::organisations::{CURRENCY, MONEY};
use crate::store::{NodeId, Timestamp};

/// Longest text that is read as an amount or a currency.
const TEXT_CHARS_MAX: usize = 32;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "spending",
        about: "What the calls of an organisation have cost, and what is left of what they may.",
        endpoints: vec![
            get("/api/v1/organization/spending", "show_spending", show)
                .summary("Shows what the caller's organisation has spent in this day and month.")
                .scope(Scope::Read)
                .answers_json(200, "what was spent", schema::named("Spending")),
        ],
        schemas: vec![("Spending", spending_schema())],
    }
}

/// An amount, which is text.
pub(super) fn amount_schema(about: &str) -> Value {
    schema::described(schema::text(TEXT_CHARS_MAX), about)
}

fn spending_schema() -> Value {
    let amount = |about| schema::described(schema::nullable(schema::text(TEXT_CHARS_MAX)), about);
    let time = |about| {
        let fields = [
            ("limit", amount("what its calls may cost; null if that is not limited")),
            ("spent", amount("what those have cost that are over")),
            ("left", amount("what is left for new calls; null without a limit")),
        ];
        schema::described(schema::nullable(schema::object(&fields, &[])), about)
    };
    schema::object(
        &[
            ("currency", currency_schema()),
            ("day", time("this day, in UTC; null if its calls are not priced")),
            ("month", time("this month, in UTC")),
            ("held", amount("what living calls hold of it")),
        ],
        &[],
    )
}

fn currency_schema() -> Value {
    let about = "what it is counted in (ISO 4217); null if its calls are not priced";
    schema::described(schema::nullable(schema::text(3)), about)
}

/// The schema of what the calls of an organisation may cost.
pub(super) fn cap_schema() -> [(&'static str, Value); 3] {
    let [a_day, a_month] = MONEY;
    let amount = |about| schema::nullable(amount_schema(about));
    [
        (CURRENCY, currency_schema()),
        (a_day, amount("what its calls may cost in a day, in UTC, such as \"25.00\"")),
        (a_month, amount("what its calls may cost in a month, in UTC")),
    ]
}

/// Puts it into an answer.
pub(super) fn cap_shown(shown: &mut Map<String, Value>, cap: Option<Cap>) {
    let [a_day, a_month] = MONEY;
    shown.insert(CURRENCY.to_owned(), json!(cap.map(|cap| cap.currency)));
    shown.insert(a_day.to_owned(), json!(cap.and_then(|cap| cap.a_day)));
    shown.insert(a_month.to_owned(), json!(cap.and_then(|cap| cap.a_month)));
}

/// A text that `parse` understands.
pub(super) fn read_as<T>(
    given: &mut Fields,
    field: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    allowed: &str,
) -> Option<T> {
    let text = given.text(field, TEXT_CHARS_MAX)?;
    match parse(&text) {
        Ok(value) => Some(value),
        Err(why) => {
            given.wrong(field, format!("{why}; allowed: {allowed}"));
            None
        }
    }
}

/// Reads what the calls of an organisation may cost, over what is `stored`.
pub(super) fn read_cap(given: &mut Fields, stored: Option<Cap>) -> Option<Cap> {
    let mut currency = stored.map(|cap| cap.currency);
    if given.has(CURRENCY) {
        currency = read_as(given, CURRENCY, Currency::parse, Currency::ALLOWED);
    }
    let mut amounts = stored.map_or([None; 2], |cap| [cap.a_day, cap.a_month]);
    for (field, amount) in MONEY.into_iter().zip(&mut amounts) {
        if given.has(field) {
            *amount = read_as(given, field, Amount::parse, Amount::ALLOWED);
        }
    }
    let [a_day, a_month] = amounts;
    let cap = currency.map(|currency| Cap { currency, a_day, a_month });
    if cap.is_none() && amounts.iter().any(Option::is_some) {
        given.wrong(CURRENCY, "missing: what is spent is counted in it");
    }
    cap
}

/// `GET /api/v1/organization/spending`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
) -> Result<axum::Json<Value>, Problem> {
    let organisation = state.store.organisation(caller.organisation).await?;
    let Some(cap) = organisation.cap() else {
        let none = json!({"currency": null, "day": null, "month": null, "held": null});
        return Ok(axum::Json(none));
    };
    // What was told before this request is in the answer.
    super::written(&state).await?;
    let node = NodeId(state.told.node);
    let now = Timestamp::now();
    let expense = spending::expense(&state.store, node, &organisation, &cap, now).await?;
    let id = organisation.id.0;
    let held = state.calls.ask(|reply| Request::Held { organisation: id, reply }).await;
    let held = held.ok_or_else(gone)?.plus(expense.elsewhere);
    let time = |limit: Option<Amount>, spent: Amount| {
        let left = limit.map(|limit| limit.minus(spent.plus(held)));
        json!({"limit": limit, "spent": spent, "left": left})
    };
    Ok(axum::Json(json!({
        "currency": cap.currency,
        "day": time(cap.a_day, expense.a_day),
        "month": time(cap.a_month, expense.a_month),
        "held": held,
    })))
}
