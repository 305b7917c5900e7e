//! An endpoint: its route, who may use it, and what is told of it, declared in one place.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use serde_json::Value;

use crate::http::State;
use crate::http::problem::Kind;
use crate::keys::Scope;

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Whoever has a key of this scope.
    Key(Scope),
    /// Whoever has a key of this scope, given as the password of HTTP Basic: the endpoint sees to
    /// it itself.
    Basic(Scope),
}

/// A parameter in the query.
#[derive(Clone, Debug)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// What values it has.
    pub schema: Value,
    /// What it means.
    pub description: &'static str,
}

/// What a request or answer carries.
#[derive(Clone, Debug)]
pub struct Content {
    /// Media type.
    pub(super) kind: &'static str,
    pub(super) schema: Value,
}

/// An answer that is no problem.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) meaning: &'static str,
    pub(super) content: Option<Content>,
}

/// An endpoint of the API. The router and the document are both made of the same list of these, so
/// that neither can know one that the other does not.
pub struct Endpoint {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// The operation's id, unique in the document.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) access: Access,
    /// Takes an `Idempotency-Key`.
    pub(super) retryable: bool,
    pub(super) query: Vec<Query>,
    pub(super) body: Option<Content>,
    /// What may stand in the place of that.
    pub(super) other_body: Option<Content>,
    pub(super) answers: Vec<Answer>,
    pub(super) refusals: Vec<Kind>,
    /// Answers with parts of what is asked for, too.
    pub(super) in_parts: bool,
    pub(super) route: MethodRouter<State>,
}

/// An endpoint that reads.
pub fn get<H, T>(path: &'static str, id: &'static str, handler: H) -> Endpoint
where
    H: Handler<T, State>,
    T: 'static,
{
    Endpoint::new(Method::GET, path, id, on(MethodFilter::GET, handler))
}

/// An endpoint that does something.
pub fn post<H, T>(path: &'static str, id: &'static str, handler: H) -> Endpoint
where
    H: Handler<T, State>,
    T: 'static,
{
    Endpoint::new(Method::POST, path, id, on(MethodFilter::POST, handler))
}

/// An endpoint that replaces or changes.
pub fn put<H, T>(path: &'static str, id: &'static str, handler: H) -> Endpoint
where
    H: Handler<T, State>,
    T: 'static,
{
    Endpoint::new(Method::PUT, path, id, on(MethodFilter::PUT, handler))
}

/// An endpoint that changes what is named.
pub fn patch<H, T>(path: &'static str, id: &'static str, handler: H) -> Endpoint
where
    H: Handler<T, State>,
    T: 'static,
{
    Endpoint::new(Method::PATCH, path, id, on(MethodFilter::PATCH, handler))
}

/// An endpoint that removes.
pub fn delete<H, T>(path: &'static str, id: &'static str, handler: H) -> Endpoint
where
    H: Handler<T, State>,
    T: 'static,
{
    Endpoint::new(Method::DELETE, path, id, on(MethodFilter::DELETE, handler))
}

impl Endpoint {
    fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        route: MethodRouter<State>,
    ) -> Self {
        Self {
            method,
            path,
            id,
            summary: "",
            access: Access::Key(Scope::Admin),
            retryable: false,
            query: Vec::new(),
            body: None,
            other_body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            in_parts: false,
            route,
        }
    }

    /// What it does, in a sentence.
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The scope that a key must reach; admin if nothing is said.
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.access = Access::Key(scope);
        self
    }

    /// Who else may use it.
    pub const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Takes an `Idempotency-Key`.
    pub const fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Parameters in the query.
    pub fn query(mut self, query: Vec<Query>) -> Self {
        self.query = query;
        self
    }

    /// Takes a body of JSON.
    pub fn json(mut self, schema: Value) -> Self {
        self.body = Some(Content { kind: "application/json", schema });
        self
    }

    /// Takes a body of another kind.
    pub fn takes(mut self, kind: &'static str, schema: Value) -> Self {
        self.body = Some(Content { kind, schema });
        self
    }

    /// Takes a body of JSON in the place of the other.
    pub fn or_json(mut self, schema: Value) -> Self {
        self.other_body = Some(Content { kind: "application/json", schema });
        self
    }

    /// Answers without a body.
    pub fn answers(mut self, status: u16, meaning: &'static str) -> Self {
        self.answers.push(Answer { status, meaning, content: None });
        self
    }

    /// Answers with JSON.
    pub fn answers_json(self, status: u16, meaning: &'static str, schema: Value) -> Self {
        self.answers_with(status, meaning, "application/json", schema)
    }

    /// Answers with a body of another kind.
    pub fn answers_with(
        mut self,
        status: u16,
        meaning: &'static str,
        kind: &'static str,
        schema: Value,
    ) -> Self {
        let content = Some(Content { kind, schema });
        self.answers.push(Answer { status, meaning, content });
        self
    }

    /// Answers with a body of another kind, or with the part of it that a `Range` names (RFC 9110
    /// 14).
    pub fn answers_in_parts(
        self,
        meaning: &'static str,
        kind: &'static str,
        schema: Value,
    ) -> Self {
        let mut endpoint = self
            .answers_with(200, meaning, kind, schema.clone())
            .answers_with(206, "the part of it that `Range` names", kind, schema)
            .refuses(&[Kind::NoSuchRange]);
        endpoint.in_parts = true;
        endpoint
    }

    /// Problems of its own, besides those that every endpoint of its kind has.
    pub fn refuses(mut self, kinds: &[Kind]) -> Self {
        self.refusals.extend_from_slice(kinds);
        self
    }

    /// All problems that it may answer with.
    pub(super) fn problems(&self) -> Vec<Kind> {
        let mut kinds = self.refusals.clone();
        match self.access {
            Access::Key(scope) => {
                kinds.extend([Kind::Unauthorized, Kind::RateLimited, Kind::Unavailable]);
                if scope != Scope::Read {
                    kinds.push(Kind::Forbidden);
                }
                if !self.method.is_safe() {
                    kinds.push(Kind::Csrf);
                }
            }
            Access::Open | Access::Basic(_) => {}
        }
        if self.body.is_some() {
            kinds.extend([Kind::BadRequest, Kind::TooLarge, Kind::TooSlow]);
        }
        if !self.query.is_empty() {
            kinds.push(Kind::BadRequest);
        }
        if self.retryable {
            kinds.extend([Kind::BadRequest, Kind::InFlight, Kind::KeyReused]);
        }
        if self.path.contains('{') {
            kinds.push(Kind::NotFound);
        }
        Kind::ALL.iter().copied().filter(|kind| kinds.contains(kind)).collect()
    }

    /// The names of the parameters in its path.
    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &'static str> + use<> {
        let parts = self.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}
