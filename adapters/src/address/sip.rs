//! SIP URIs in one written form.

use std::net::Ipv6Addr;

use super::AddressError;

/// The URI in its one written form: scheme, host and parameters in small letters, the default port
/// dropped, the user part as it is.
pub(super) fn normalise(scheme: &str, rest: &str) -> Result<String, AddressError> {
    let scheme = scheme.to_ascii_lowercase();
    if rest.chars().any(|c| c.is_whitespace() || c == '<' || c == '>' || c == '"') {
        return Err(AddressError::Character);
    }
    // A user part may hold `;` and `?`, so the last @ ends it (RFC 3261 25.1 forbids @ after it).
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    if user == Some("") {
        return Err(AddressError::SipUri);
    }
    let end = rest.find([';', '?']).unwrap_or(rest.len());
    let (host_port, parameters) = rest.split_at(end);
    let (host, port) = host_and_port(host_port)?;
    let mut uri = format!("{scheme}:");
    if let Some(user) = user {
        uri.push_str(user);
        uri.push('@');
    }
    uri.push_str(&host);
    let default = if scheme == "sips" { 5061 } else { 5060 };
    if let Some(port) = port.filter(|port| *port != default) {
        uri.push_str(&format!(":{port}"));
    }
    // The headers behind a `?` keep their case: their values mean something.
    let (parameters, headers) =
        parameters.split_at(parameters.find('?').unwrap_or(parameters.len()));
    uri.push_str(&parameters.to_ascii_lowercase());
    uri.push_str(headers);
    Ok(uri)
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), AddressError> {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, rest)) => {
            let host: Ipv6Addr = host.parse().map_err(|_| AddressError::SipUri)?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or(AddressError::SipUri)?),
            };
            (format!("[{host}]"), port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if !crate::network::is_host_name(host) {
                return Err(AddressError::SipUri);
            }
            (host.trim_end_matches('.').to_ascii_lowercase(), port)
        }
    };
    let port = port
        .map(|port| {
            crate::network::decimal(port).filter(|port| *port != 0).ok_or(AddressError::SipUri)
        })
        .transpose()?;
    Ok((host, port))
}
