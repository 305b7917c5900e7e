//! Lists by pages: `?limit=&cursor=`, answered by `items` and `next_cursor`.

use axum::extract::FromRequestParts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::openapi::{Query as Parameter, schema};
use super::problem::Problem;

/// Items of a page if nothing is said.
pub const LIMIT: u32 = 50;
/// Most items of a page.
pub const LIMIT_MAX: u32 = 200;
/// What stands before the name of a parameter that cannot be read.
const QUERY_REFUSED: &str = "Failed to deserialize query string: ";
/// What a cursor begins with; another form would have another.
const CURSOR_VERSION: u8 = 1;

/// The query of a request, as a `T`; with `deny_unknown_fields` nothing is ignored.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<super::State> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &super::State) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|error| wrong(&error.body_text()))
    }
}

/// What a query is refused by. What is told of one names the parameter first.
fn wrong(text: &str) -> Problem {
    let told = text.strip_prefix(QUERY_REFUSED).unwrap_or(text);
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match told.split_once(": ").filter(|(name, _)| is_name(name)) {
        Some((name, why)) => Problem::bad_field(name, why),
        None => Problem::bad_request(format!("the query: {told}")),
    }
}

/// What part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Most items.
    pub limit: u32,
    /// The list goes on behind the item with this id.
    pub after: Option<Uuid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl Wanted {
    /// Reads the parameters.
    ///
    /// # Errors
    ///
    /// The problem to answer if a limit is out of range or a cursor is none of ours.
    pub fn read(limit: Option<u32>, cursor: Option<&str>) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::bad_field("limit", format!("not from 1 to {LIMIT_MAX}")));
        }
        let after = cursor
            .map(|text| {
                open(text)
                    .ok_or_else(|| Problem::bad_field("cursor", "not a `next_cursor` of this list"))
            })
            .transpose()?;
        Ok(Self { limit, after })
    }

    /// How many items to ask for: one that does not fit tells that there is another page.
    pub const fn with_next(self) -> u32 {
        self.limit.saturating_add(1)
    }
}

impl FromRequestParts<super::State> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &super::State) -> Result<Self, Problem> {
        let Query(query) = Query::<WantedQuery>::from_request_parts(parts, state).await?;
        Self::read(query.limit, query.cursor.as_deref())
    }
}

/// The parameters of a list of which some state may be wanted alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByState {
    limit: Option<u32>,
    cursor: Option<String>,
    state: Option<String>,
}

impl ByState {
    /// Reads them: the part of the list, and the one of the states `all` that is wanted, by its
    /// `word`.
    ///
    /// # Errors
    ///
    /// Those of [`Wanted::read`], and the problem to answer if there is no such state.
    pub fn read<T: Copy>(
        &self,
        all: &[T],
        word: fn(T) -> &'static str,
    ) -> Result<(Wanted, Option<T>), Problem> {
        let wanted = Wanted::read(self.limit, self.cursor.as_deref())?;
        let Some(told) = self.state.as_deref() else { return Ok((wanted, None)) };
        let found = all.iter().copied().find(|state| word(*state) == told);
        let unknown = || Problem::none_of("state", all.iter().map(|state| word(*state)));
        Ok((wanted, Some(found.ok_or_else(unknown)?)))
    }
}

/// One page of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Where the next page begins; none if this is the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` items out of `items`, of which one more was asked for than fits
    /// ([`Wanted::with_next`]).
    pub fn cut(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> Uuid) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(|last| seal(id(last)));
        Self { items, next_cursor }
    }

    /// The same page of other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        let items = self.items.into_iter().map(change).collect();
        Page { items, next_cursor: self.next_cursor }
    }
}

/// A cursor holds nothing but an id, so there is nothing to forge: whose items are listed is
/// decided by the caller's key.
fn seal(id: Uuid) -> String {
    let mut bytes = vec![CURSOR_VERSION];
    bytes.extend_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(cursor: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (version, id) = bytes.split_first()?;
    Uuid::from_slice(id).ok().filter(|_| *version == CURSOR_VERSION)
}

/// The parameters, for the document.
pub fn parameters() -> Vec<Parameter> {
    vec![
        Parameter {
            name: "limit",
            schema: schema::integer(1, i64::from(LIMIT_MAX)),
            description: "most items of the page; 50 if absent",
        },
        Parameter {
            name: "cursor",
            schema: schema::text(64),
            description: "`next_cursor` of the page before",
        },
    ]
}

/// The schema of a page of `item`.
pub fn schema_of(item: Value) -> Value {
    schema::object(
        &[("items", schema::list(item)), ("next_cursor", schema::nullable(schema::text(64)))],
        &[],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list read page by page is the list: each item once, in order, whatever the limit.
    #[test]
    fn pages_make_up_the_list() {
        let all: Vec<Uuid> = (0..47).map(|_| Uuid::now_v7()).collect();
        for limit in [1, 5, 46, 47, 48] {
            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let wanted = Wanted::read(Some(limit), cursor.as_deref()).unwrap();
                let from = wanted
                    .after
                    .map_or(0, |id| all.iter().position(|known| *known == id).unwrap() + 1);
                let most = wanted.with_next() as usize;
                let found = all[from..].iter().copied().take(most).collect();
                let page = Page::cut(found, limit, |id| *id);
                assert!(!page.items.is_empty());
                seen.extend(page.items);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, all);
        }
        assert!(Page::cut(Vec::<Uuid>::new(), 5, |id| *id).next_cursor.is_none());
    }

    /// A state is read by its word, and one that there is not is refused.
    #[test]
    fn states_are_words() {
        let word = |state: bool| if state { "on" } else { "off" };
        let read = |state: Option<&str>| {
            let state = state.map(str::to_owned);
            let query = ByState { limit: Some(7), cursor: None, state };
            query.read(&[true, false], word).map(|(wanted, state)| (wanted.limit, state)).ok()
        };
        assert_eq!(read(None), Some((7, None)));
        assert_eq!(read(Some("off")), Some((7, Some(false))));
        assert_eq!(read(Some("Off")), None);
    }

    /// Cursors that are none of ours, and limits out of range, are refused.
    #[test]
    fn foreign_cursors_are_refused() {
        let cursor = seal(Uuid::now_v7());
        assert!(Wanted::read(None, Some(&cursor)).is_ok());
        for length in 0..cursor.len() {
            assert!(Wanted::read(None, Some(&cursor[..length])).is_err(), "{length}");
        }
        for bad in ["é", "AAAA", "AgAAAAAAAAAAAAAAAAAAAAA", &format!("{cursor}AA")] {
            assert!(Wanted::read(None, Some(bad)).is_err(), "{bad}");
        }
        for bad in [0, LIMIT_MAX + 1, u32::MAX] {
            assert!(Wanted::read(Some(bad), None).is_err());
        }
    }
}
