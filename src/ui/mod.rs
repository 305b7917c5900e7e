//! The web pages: files of `ui/` at the root, as they are, within the binary.
//!
//! There is no build step: what is in the folder is what browsers get. Pages ask the API of
//! `http::api` for all they show, as any other client does.

mod files;
mod pages;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::http::problem::Problem;
use pages::{FOLDER, INDEX, PAGES};

/// What a page may load, run and ask: files and answers of this server, nothing else. Pictures may
/// be written out, sound may be put together by the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; media-src 'self' blob:; worker-src 'self'; \
    font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// What of the device a page may use.
const PERMISSIONS: &str = "microphone=(self), camera=(), geolocation=(), payment=(), usb=()";

/// The type of a file, by the end of its name.
fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    }
}

/// The routes of the pages.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(|headers: HeaderMap| async move { index(&headers) })).route(
        &format!("{FOLDER}/{{*path}}"),
        get(|Path(path): Path<String>, headers: HeaderMap| async move { answer(&path, &headers) }),
    )
}

/// True if a browser takes what is packed (RFC 9110 12.5.3).
fn takes_packed(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = accepted.filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    codings.map(|coding| coding.trim().split(';')).any(|mut coding| {
        let name = coding.next().unwrap_or_default();
        let refused = coding.any(|weight| matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.000"));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// The page that names the files of this version.
fn index(headers: &HeaderMap) -> Response {
    let packed = takes_packed(headers);
    let body = if packed { PAGES.packed_index() } else { PAGES.index.clone() };
    respond(INDEX, body, packed, "no-store")
}

/// A file. What is named by its content stays what it is; another name leads to other content after
/// an update of the server.
fn answer(path: &str, headers: &HeaderMap) -> Response {
    let Some((file, is_lasting)) = PAGES.find(path).filter(|(file, _)| file.path != INDEX) else {
        return Problem::not_found("the pages have no such file").into_response();
    };
    let packed = takes_packed(headers);
    let body = if packed { file.packed() } else { Bytes::from_static(file.bytes) };
    let lasts = if is_lasting { "public, max-age=31536000, immutable" } else { "no-store" };
    respond(file.path, body, packed, lasts)
}

fn respond(path: &str, body: Bytes, packed: bool, lasts: &'static str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, kind(path))], body).into_response();
    let head = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (header::CACHE_CONTROL, lasts),
        (header::VARY, "accept-encoding"),
    ] {
        head.insert(name, HeaderValue::from_static(value));
    }
    if packed {
        head.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

#[cfg(test)]
mod tests;
