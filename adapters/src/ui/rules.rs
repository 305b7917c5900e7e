//! What texts of a configuration must be.

use super::TextRule;
use crate::address::{Address, AddressKind, region};
use crate::network::{HostPort, Network};

/// Any line of text.
pub const LINE: TextRule = TextRule { format: "", chars_max: 255, read: |text| Ok(text.into()) };

/// Text in PEM (RFC 7468): a key or certificates.
pub const PEM: TextRule = TextRule { format: "pem", chars_max: 32_768, read: pem };

/// A network (CIDR) or an address, which is a network of one.
pub const NETWORK: TextRule = TextRule { format: "cidr", chars_max: 49, read: network };

/// A host name or an address.
pub const HOST: TextRule = TextRule { format: "host", chars_max: 255, read: host };

/// A host name or an address, with a port or without.
pub const HOST_PORT: TextRule = TextRule { format: "host-port", chars_max: 261, read: host_port };

/// A `sip:` or `sips:` URI.
pub const SIP_URI: TextRule = TextRule { format: "sip-uri", chars_max: 255, read: sip_uri };

/// A telephone number with `+`.
pub const E164: TextRule = TextRule { format: "e164", chars_max: 32, read: e164 };

/// An ISO 3166-1 alpha-2 code of a country.
pub const COUNTRY: TextRule = TextRule { format: "country", chars_max: 2, read: country };

/// The name of a SIP header that an agent may see or a call may carry.
pub const HEADER: TextRule = TextRule { format: "header-name", chars_max: 64, read: header };

/// The value of a header.
pub const HEADER_VALUE: TextRule =
    TextRule { format: "header-value", chars_max: 512, read: |text| Ok(text.into()) };

/// The beginning of an API's addresses: `https://host[:port][/path]`, or `http://` to this machine.
pub const API_BASE: TextRule = TextRule { format: "api-base", chars_max: 255, read: api_base };

/// The user part of a SIP URI (RFC 3261 25.1) without escapes.
pub const SIP_USER: TextRule = TextRule { format: "sip-user", chars_max: 128, read: sip_user };

/// Headers that steer a call or carry credentials (RFC 3261 20, RFC 8224): neither shown nor set.
const HEADERS_REFUSED: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "proxy-authenticate",
    "www-authenticate",
    "authentication-info",
    "identity",
    "via",
    "from",
    "to",
    "contact",
    "call-id",
    "cseq",
    "route",
    "record-route",
    "max-forwards",
    "content-length",
    "content-type",
];

fn pem(text: &str) -> Result<String, &'static str> {
    // Pasted through forms and environment variables, line feeds often come as \n in two letters.
    let text = text.trim().replace("\\n", "\n").replace("\r\n", "\n");
    let framed = text.starts_with("-----BEGIN ") && text.ends_with("-----");
    if framed && text.contains("-----END ") {
        Ok(text + "\n")
    } else {
        Err("not in PEM: -----BEGIN …, lines of base64, -----END …")
    }
}

fn network(text: &str) -> Result<String, &'static str> {
    let network = text.parse::<Network>();
    network
        .map(|network| network.to_string())
        .map_err(|_| "not an address or a network, such as 192.0.2.0/24, without bits beyond it")
}

fn host(text: &str) -> Result<String, &'static str> {
    match text.parse::<HostPort>() {
        Ok(HostPort { host, port: None }) => Ok(host),
        Ok(_) => Err("a host without port"),
        Err(_) => Err("not a host name or an address"),
    }
}

fn host_port(text: &str) -> Result<String, &'static str> {
    let host = text.parse::<HostPort>();
    host.map(|host| host.to_string())
        .map_err(|_| "not a host name or an address, with a port or without")
}

fn sip_uri(text: &str) -> Result<String, &'static str> {
    match Address::parse(text, None) {
        Ok(address) if address.kind() == AddressKind::SipUri => Ok(address.expose().to_owned()),
        _ => Err("not a SIP URI, such as sip:proxy.example.com;lr"),
    }
}

fn e164(text: &str) -> Result<String, &'static str> {
    match Address::parse(text, None) {
        Ok(address) if address.kind() == AddressKind::Pstn => Ok(address.expose().to_owned()),
        _ => Err("not a telephone number with + and calling code"),
    }
}

fn country(text: &str) -> Result<String, &'static str> {
    let code = text.to_ascii_uppercase();
    region(&code).map(|region| region.code.to_owned()).ok_or("not an ISO 3166-1 country code")
}

fn header(text: &str) -> Result<String, &'static str> {
    // RFC 3261 25.1, token.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    if !text.bytes().all(token) {
        return Err("not the name of a header");
    }
    // Single letters are the compact forms of headers that SIP itself uses (RFC 3261 7.3.3).
    if text.len() < 2 || HEADERS_REFUSED.iter().any(|refused| refused.eq_ignore_ascii_case(text)) {
        return Err("this header steers calls or carries credentials");
    }
    Ok(text.to_owned())
}

fn api_base(text: &str) -> Result<String, &'static str> {
    let text = text.trim_end_matches('/');
    let (scheme, rest) = text.split_once("://").ok_or("not an address, https://…")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.parse::<HostPort>().map_err(|_| "not the address of a host")?;
    let here = host.host == "localhost"
        || host.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match scheme.to_ascii_lowercase().as_str() {
        "https" => {}
        // Credentials travel with each request.
        "http" if here => {}
        "http" => return Err("http only to this machine, https elsewhere"),
        _ => return Err("not an address, https://…"),
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if !path.bytes().all(plain) || path.split('/').any(|part| part == "." || part == "..") {
        return Err("the path holds something else than letters, digits, -._~ and /");
    }
    let slash = if path.is_empty() { "" } else { "/" };
    Ok(format!("{}://{host}{slash}{path}", scheme.to_ascii_lowercase()))
}

fn sip_user(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err("not the user part of a SIP URI") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each rule takes what it should, in one written form that it takes again, and refuses the
    /// rest without repeating it.
    #[test]
    fn rules_normalise_and_refuse() {
        const PEM_TEXT: &str = "-----BEGIN X-----\nAA==\n-----END X-----\n";
        type Case = (TextRule, &'static [(&'static str, &'static str)], &'static [&'static str]);
        let cases: &[Case] = &[
            (NETWORK, &[("192.0.2.1", "192.0.2.1/32"), ("::/0", "::/0")], &["192.0.2.1/24", "x"]),
            (HOST, &[("SIP.Example.com", "sip.example.com"), ("::1", "::1")], &["a:5060", "a b"]),
            (HOST_PORT, &[("A:5070", "a:5070"), ("[::1]:1", "[::1]:1")], &["a:0", "a@b"]),
            (
                SIP_URI,
                &[("SIP:P.example;lr", "sip:p.example;lr")],
                &["p.example", "tel:+4930123456"],
            ),
            (E164, &[("+49 30 123456", "+4930123456")], &["030123456", "1000", "sip:a@b"]),
            (COUNTRY, &[("de", "DE")], &["XX", "D", "Germany"]),
            (HEADER, &[("X-Tenant", "X-Tenant")], &["Authorization", "via", "X:", "a b", "v"]),
            (SIP_USER, &[("+4930", "+4930"), ("a.b", "a.b")], &["a b", "a@b", "<a>", "ü"]),
            (
                API_BASE,
                &[
                    ("HTTPS://API.example.com/v1/", "https://api.example.com/v1"),
                    ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
                    ("http://[::1]:1", "http://[::1]:1"),
                ],
                &[
                    "http://api.example.com",
                    "api.example.com",
                    "https://a@b.example",
                    "https://a.example/?q",
                    "https://a.example/../x",
                    "ftp://a.example",
                ],
            ),
            (PEM, &[("-----BEGIN X-----\\nAA==\\n-----END X-----", PEM_TEXT)], &["AA==", "-----"]),
        ];
        for (rule, good, bad) in cases {
            for (text, written) in *good {
                assert_eq!((rule.read)(text).as_deref(), Ok(*written), "{}", rule.format);
                assert_eq!((rule.read)(written).as_deref(), Ok(*written), "{}", rule.format);
            }
            for text in *bad {
                assert!((rule.read)(text).is_err(), "{} {text}", rule.format);
            }
        }
    }
}
