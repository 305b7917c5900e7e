//! The address of a request as the carrier wrote it: what its signature covers.

use http::{HeaderMap, HeaderName, request::Parts};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Longest host that is looked at.
const HOST_BYTES_MAX: usize = 256;

/// The addresses that a carrier may have written, the likeliest first: below our public address,
/// and, if a proxy that is trusted passed the request on, what that says it was asked for. Headers
/// of others are not looked at.
pub(super) fn urls(base: &str, parts: &Parts, proxied: bool) -> Vec<String> {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut urls = vec![format!("{base}{target}")];
    if proxied && let Some(asked) = asked_for(&parts.headers) {
        let url = format!("{asked}{target}");
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls
}

/// Scheme and host by the nearest proxy's word.
fn asked_for(headers: &HeaderMap) -> Option<String> {
    let last = |name: &HeaderName| {
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next().map(str::trim)
    };
    let host = last(&X_FORWARDED_HOST)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(plain) {
        return None;
    }
    let scheme = match last(&X_FORWARDED_PROTO)? {
        scheme if scheme.eq_ignore_ascii_case("https") => "https",
        scheme if scheme.eq_ignore_ascii_case("http") => "http",
        _ => return None,
    };
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(target: &str, headers: &[(HeaderName, &str)], proxied: bool) -> Vec<String> {
        let mut request = http::Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        urls("https://voice.example/pbx", &parts, proxied)
    }

    /// The public address comes first, with the query as it was written; a trusted proxy adds what
    /// it was asked for, strangers add nothing.
    #[test]
    fn addresses_as_carriers_write_them() {
        let target = "/api/v1/telephony/acme/voice/t?a=%20b&c";
        let ours = "https://voice.example/pbx/api/v1/telephony/acme/voice/t?a=%20b&c";
        let said = [(X_FORWARDED_HOST, "x.example, t.example:8443"), (X_FORWARDED_PROTO, "https")];
        assert_eq!(all(target, &[], true), [ours]);
        assert_eq!(all(target, &said, false), [ours]);
        let other = "https://t.example:8443/api/v1/telephony/acme/voice/t?a=%20b&c";
        assert_eq!(all(target, &said, true), [ours, other]);
        for (host, proto) in [("", "https"), ("a/b", "https"), ("a", "ftp"), ("a b", "http")] {
            let said = [(X_FORWARDED_HOST, host), (X_FORWARDED_PROTO, proto)];
            assert_eq!(all(target, &said, true), [ours]);
        }
        assert_eq!(all(target, &[(X_FORWARDED_HOST, "t.example")], true), [ours]);
    }
}
