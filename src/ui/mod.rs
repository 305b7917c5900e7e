//! The web pages: files of `ui/` at the root, as they are, within the binary.
//!
//! There is no build step: what is in the folder is what browsers get. Pages ask the API of
//! `http::api` for all they show, as any other client does.

mod files;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::http::problem::Problem;
use files::FILES;

/// Where the pages' files are.
const FOLDER: &str = "/ui";
/// What a page may load, run and ask: files and answers of this server, nothing else. Pictures may
/// be written out, sound may be put together by the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; media-src 'self' blob:; worker-src 'self'; \
    font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// What of the device a page may use.
const PERMISSIONS: &str = "microphone=(self), camera=(), geolocation=(), payment=(), usb=()";

/// A file of the pages.
struct File {
    /// Path within the folder.
    path: &'static str,
    bytes: &'static [u8],
}

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
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { answer("index.html", &headers) }))
        .route(
            &format!("{FOLDER}/{{*path}}"),
            get(|Path(path): Path<String>, headers: HeaderMap| async move {
                answer(&path, &headers)
            }),
        )
}

/// A file, or that the browser's copy of it is still right.
fn answer(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = FILES.iter().find(|file| file.path == path) else {
        return Problem::not_found("the pages have no such file").into_response();
    };
    let is_index = path == "index.html";
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(file.bytes)));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let mut response = match fresh && !is_index {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, kind(path))], file.bytes).into_response(),
    };
    let head = response.headers_mut();
    let permissions = HeaderName::from_static("permissions-policy");
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (permissions, PERMISSIONS),
        // A file is asked for anew each time, so that an update of the server is seen at once.
        (header::CACHE_CONTROL, if is_index { "no-store" } else { "no-cache" }),
    ] {
        head.insert(name, HeaderValue::from_static(value));
    }
    if let (false, Ok(tag)) = (is_index, HeaderValue::try_from(tag)) {
        head.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn walk(folder: &Path, base: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, base, found);
            } else {
                found.insert(path.strip_prefix(base).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    /// Each file of the folder is in the binary, and no other.
    #[test]
    fn all_files_are_there() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
        let mut found = BTreeSet::new();
        walk(&base, &base, &mut found);
        let held: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(held, found);
    }

    /// Each file that a module imports or a page names is there: browsers would find out too late.
    #[test]
    fn what_is_named_is_there() {
        for file in FILES {
            let text = std::str::from_utf8(file.bytes).unwrap();
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for part in text.split("from \"").skip(1) {
                let name = part.split('"').next().unwrap_or_default();
                if !name.starts_with('.') {
                    continue;
                }
                let path = match name.strip_prefix("../") {
                    Some(rest) => rest.to_owned(),
                    None if folder.is_empty() => name.trim_start_matches("./").to_owned(),
                    None => format!("{folder}/{}", name.trim_start_matches("./")),
                };
                assert!(FILES.iter().any(|one| one.path == path), "{}: {name}", file.path);
            }
            for part in text.split("\"/ui/").skip(1) {
                let path = part.split('"').next().unwrap_or_default();
                assert!(FILES.iter().any(|one| one.path == path), "{}: /ui/{path}", file.path);
            }
        }
    }

    /// Files come with their type and the policy; a copy that is still right is not sent again,
    /// and what is not there is not found.
    #[test]
    fn files_are_answered() {
        let none = HeaderMap::new();
        let index = answer("index.html", &none);
        assert_eq!(
            (index.status(), &index.headers()["cache-control"]),
            (StatusCode::OK, &HeaderValue::from_static("no-store"))
        );
        let script = answer("app.js", &none);
        assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
        assert!(
            script.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("default-src 'none'")
        );
        let mut known = HeaderMap::new();
        known.insert(header::IF_NONE_MATCH, script.headers()["etag"].clone());
        assert_eq!(answer("app.js", &known).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(answer("style.css", &known).status(), StatusCode::OK);
        for path in ["", "../Cargo.toml", "app.jsx", "pages", "/app.js"] {
            assert_eq!(answer(path, &none).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
