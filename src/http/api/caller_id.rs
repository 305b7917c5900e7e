//! How a configuration's calls get their calling number, over HTTP.

use serde_json::Value;

use super::object::Fields;
use crate::calls::caller_ids::{DAILY_CAP_MAX, Policy, Rotation};
use crate::http::openapi::schema;

/// The field that says it.
pub(super) const FIELD: &str = "caller_id";
/// Longest word that is looked for among the policies.
const WORD_CHARS_MAX: usize = 64;

pub(super) fn schema() -> Value {
    let words = Policy::ALL.map(Policy::as_str);
    let about = "which of its numbers calls are placed from that name none: the default, each in \
                 its turn, the one that the called party was called from last, or the one that \
                 shares most leading digits with the called number";
    let cap = schema::nullable(schema::integer(1, i64::from(DAILY_CAP_MAX)));
    let cap_about = "calls of a day, in UTC, that are placed from each number";
    schema::object(
        &[],
        &[
            ("policy", schema::described(schema::nullable(schema::word(&words)), about)),
            ("daily_cap", schema::described(cap, cap_about)),
        ],
    )
}

/// Reads it; the default number and no cap if it is null or absent.
pub(super) fn read(given: &mut Fields) -> Rotation {
    let mut own = Fields::new(given.object(FIELD));
    let word = own.text("policy", WORD_CHARS_MAX);
    let policy = word.as_deref().map(Policy::from_word);
    let daily_cap = own.integer("daily_cap", 1, i64::from(DAILY_CAP_MAX));
    if policy == Some(None) {
        let known = Policy::ALL.map(Policy::as_str).join(", ");
        own.wrong("policy", format!("none of {known}"));
    }
    given.wrong_within(FIELD, own);
    Rotation {
        policy: policy.flatten().unwrap_or_default(),
        daily_cap: daily_cap.and_then(|cap| u32::try_from(cap).ok()),
    }
}
