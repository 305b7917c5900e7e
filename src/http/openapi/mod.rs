//! The API as OpenAPI 3.1, made of the same declarations as its routes.

mod document;
mod endpoint;
pub mod schema;

pub use document::document;
pub use endpoint::{Access, Answer, Content, Endpoint, Query, delete, get, patch, post, put};

use axum::Router;
use axum::middleware::from_fn_with_state;
use serde_json::Value;

use super::{State, auth, idempotency};

/// What a part of the API consists of.
pub struct Resource {
    /// Heading in the document.
    pub tag: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Schemas by the names that its endpoints refer to them by.
    pub schemas: Vec<(&'static str, Value)>,
}

/// The routes of all resources, each behind what it asks for.
pub(super) fn routes(state: &State, resources: Vec<Resource>) -> Router<State> {
    let mut router = Router::new();
    for endpoint in resources.into_iter().flat_map(|resource| resource.endpoints) {
        let mut route = endpoint.route;
        if endpoint.retryable {
            route = route.route_layer(from_fn_with_state(state.clone(), idempotency::once));
        }
        if let Access::Key(scope) = endpoint.access {
            route = route.route_layer(from_fn_with_state((state.clone(), scope), auth::admit));
        }
        router = router.route(endpoint.path, route);
    }
    router
}
