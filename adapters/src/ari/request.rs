//! Requests to the REST interface.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, form};
use crate::op::OpResult;

/// The beginning of all its addresses.
fn base(config: &RawConfig) -> Result<&str, CarrierError> {
    config.text("ari_url").ok_or(CarrierError::Config("no address"))
}

/// The name of our application there.
pub(super) fn app(config: &RawConfig) -> Result<&str, CarrierError> {
    config.text("app").ok_or(CarrierError::Config("the application has no name yet"))
}

/// With user and password: they are in a header, as queries are logged.
pub(super) fn signed(
    config: &RawConfig,
    request: HttpRequest,
) -> Result<HttpRequest, CarrierError> {
    request.credentials(AUTHORIZATION, &credentials(config)?)
}

/// User and password, as HTTP Basic writes them (RFC 7617).
pub(super) fn credentials(config: &RawConfig) -> Result<String, CarrierError> {
    let user = config.text("username").ok_or(CarrierError::Config("no user"))?;
    let password = config.secret("password").ok_or(CarrierError::Config("no password"))?;
    let both = STANDARD.encode(format!("{user}:{}", password.expose()));
    Ok(format!("Basic {both}"))
}

/// A request for `path` below `/ari`, whose query holds these.
pub(super) fn request(
    config: &RawConfig,
    method: Method,
    path: &str,
    query: &[(&str, &str)],
) -> Result<HttpRequest, CarrierError> {
    let mut url = format!("{}/ari/{path}", base(config)?);
    if !query.is_empty() {
        url = format!("{url}?{}", form(query));
    }
    // What is deleted twice is gone.
    let repeatable = matches!(method, Method::GET | Method::DELETE | Method::PUT);
    let (headers, body, delay_ms) = (HeaderMap::new(), Bytes::new(), 0);
    signed(config, HttpRequest { method, url, headers, body, repeatable, delay_ms })
}

pub(super) fn get(config: &RawConfig, path: &str) -> Result<HttpRequest, CarrierError> {
    request(config, Method::GET, path, &[])
}

pub(super) fn post(
    config: &RawConfig,
    path: &str,
    query: &[(&str, &str)],
) -> Result<HttpRequest, CarrierError> {
    request(config, Method::POST, path, query)
}

pub(super) fn delete(
    config: &RawConfig,
    path: &str,
    query: &[(&str, &str)],
) -> Result<HttpRequest, CarrierError> {
    request(config, Method::DELETE, path, query)
}

/// The request that opens the socket of events.
pub(super) fn events(config: &RawConfig) -> Result<HttpRequest, CarrierError> {
    let mut request = request(config, Method::GET, "events", &[("app", app(config)?)])?;
    // http becomes ws, https wss.
    request.url = request.url.replacen("http", "ws", 1);
    Ok(request)
}

/// An operation of one request.
pub(super) fn one<T: 'static>(
    request: HttpRequest,
    read: fn(&HttpResponse) -> Result<T, CarrierError>,
) -> OpResult<T> {
    Ok(Box::new(HttpExchange::new(request, read)))
}
