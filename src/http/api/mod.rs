//! The endpoints, a file for each resource.

mod attach;
mod calls;
mod capture;
mod dialect;
mod ops;
mod orders;
mod providers;
mod recording;

use super::openapi::Resource;
use super::problem::{Kind, Problem};

/// Seconds after which a client that was refused may come again.
pub(super) const RETRY_AFTER_S: u32 = 5;

/// All resources, in the order of the document.
pub(super) fn resources() -> Vec<Resource> {
    vec![
        ops::resource(),
        calls::resource(),
        orders::resource(),
        recording::resource(),
        capture::resource(),
        attach::resource(),
        dialect::resource(),
        providers::resource(),
    ]
}

/// What is told when the call control has ended.
pub(super) fn gone() -> Problem {
    Problem::unavailable("the server goes down", RETRY_AFTER_S)
}

/// Everything else.
pub(super) async fn no_such_path() -> Problem {
    Problem::not_found("no such path")
}

/// A path that knows other methods.
pub(super) async fn no_such_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "see `Allow`")
}
