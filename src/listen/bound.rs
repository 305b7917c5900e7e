//! Addresses that cannot be listened on: which key names them, and what to do about it.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

/// What to do about an address that cannot be bound.
pub const fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "another program has the port (this server, perhaps): stop it or choose another port"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have the address: choose one that `ip addr` shows"
        }
        ErrorKind::PermissionDenied => "ports below 1024 need the capability CAP_NET_BIND_SERVICE",
        _ => "choose another address",
    }
}

/// The error of a listener as it is told: the key that names `at`, `what` was to listen there, and
/// what to do.
pub fn named(key: &str, what: &str, at: SocketAddr, error: &Error) -> Error {
    let (kind, remedy) = (error.kind(), remedy(error.kind()));
    Error::new(kind, format!("{key}: {what} on {at}: {error}: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever reads the error knows what to change.
    #[test]
    fn errors_name_key_address_and_remedy() {
        let at = "127.0.0.1:8080".parse().unwrap();
        let told = named("http.listen", "HTTP", at, &ErrorKind::AddrInUse.into());
        assert_eq!(told.kind(), ErrorKind::AddrInUse);
        let told = told.to_string();
        assert!(told.starts_with("http.listen: HTTP on 127.0.0.1:8080: "), "{told}");
        assert!(told.ends_with("choose another port"), "{told}");
    }
}
