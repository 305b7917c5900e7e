//! Where this server goes for an organisation: whoever writes a URL must not reach what only this
//! server can reach (RFC 6890). See docs/decisions/0037-where-organisations-reach.md.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;
use uuid::Uuid;

use crate::config::{Allowed, Config};

/// Why it does not go there.
#[derive(Debug, thiserror::Error)]
pub enum OutwardError {
    /// The address is not one of the public network.
    #[error("the address is not public, and outward.allow does not name it")]
    Private,
    /// The name leads nowhere.
    #[error("the name cannot be looked up")]
    Name,
    /// Nobody listens there.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
}

/// How far something reaches.
#[derive(Clone, Debug, Default)]
pub enum Outward {
    /// Wherever this server does: what the operator has written.
    #[default]
    Anywhere,
    /// The public network, and what the operator allows besides.
    Public(Arc<Allowed>),
}

impl Outward {
    /// Whether it reaches `address`, to which the name or address `host` has led.
    pub fn admits(&self, host: &str, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public(allowed) => is_public(address) || allowed.admits(host, address),
        }
    }

    /// Looks at a host as it is written; what a name leads to is looked at when it is used.
    ///
    /// # Errors
    ///
    /// [`OutwardError::Private`] if it certainly is none that is reached.
    pub fn check(&self, host: &str) -> Result<(), OutwardError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = bare.trim_end_matches('.').to_ascii_lowercase();
        let address = match bare.parse() {
            Ok(address) => address,
            // RFC 6761 6.3: whatever is under this name is this machine.
            Err(_) if name == "localhost" || name.ends_with(".localhost") => {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            }
            Err(_) => return Ok(()),
        };
        if self.admits(bare, address) { Ok(()) } else { Err(OutwardError::Private) }
    }

    /// Where media go that a peer wants at `named`: who signals from the public network has no ears
    /// elsewhere, so that they go where it signals from (as for whoever is behind a translator).
    pub fn media(&self, named: SocketAddr, signalling: IpAddr) -> SocketAddr {
        let inside = is_public(signalling) && !self.admits("", named.ip());
        if inside { SocketAddr::new(signalling, named.port()) } else { named }
    }

    /// The addresses of a host that are reached, at least one.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub async fn locate(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OutwardError> {
        let found = tokio::net::lookup_host((host, port)).await.map_err(|_| OutwardError::Name)?;
        let all: Vec<SocketAddr> = found.collect();
        let admitted: Vec<_> =
            all.iter().filter(|at| self.admits(host, at.ip())).copied().collect();
        match (admitted.is_empty(), all.is_empty()) {
            (false, _) => Ok(admitted),
            (true, false) => Err(OutwardError::Private),
            (true, true) => Err(OutwardError::Name),
        }
    }

    /// Connects to a host by TCP. The addresses that were looked at are those that are used: a name
    /// may lead elsewhere the next time.
    ///
    /// # Errors
    ///
    /// If it is not reached, or does not answer.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, OutwardError> {
        let addresses = self.locate(host, port).await?;
        Ok(TcpStream::connect(addresses.as_slice()).await?)
    }
}

/// How far what organisations make reaches.
#[derive(Clone, Debug)]
pub struct OutwardPolicy {
    allowed: Arc<Allowed>,
    /// The organisation that reaches anywhere, if one does.
    trusted: Option<Uuid>,
}

impl OutwardPolicy {
    /// As configured. `first` is the organisation of the operator: where nobody else can reach the
    /// API, what it says is as good as the file.
    pub fn new(config: &Config, first: Uuid) -> Self {
        let trusted = config.is_local().then_some(first);
        Self { allowed: Arc::new(config.outward.clone()), trusted }
    }

    /// How far what this organisation has made reaches.
    pub fn of(&self, organisation: Uuid) -> Outward {
        match self.trusted == Some(organisation) {
            true => Outward::Anywhere,
            false => Outward::Public(Arc::clone(&self.allowed)),
        }
    }
}

/// True for addresses of the public network (RFC 6890 and the registries it began).
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, loopback, multicast and what is reserved above it.
        (0 | 127 | 224.., ..) => true,
        // Shared by carriers (RFC 6598), assignments of protocols, relays, benchmarks.
        (100, 64..128, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..20, _) => true,
        _ => false,
    };
    !(special || address.is_private() || address.is_link_local() || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // IPv4 behind a translator (RFC 6052), and 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, other protocols, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] => false,
        // What was handed out so far.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing that is not of the public network counts as such, however it is written.
    #[test]
    fn private_addresses() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "192.0.0.192",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "::127.0.0.1",
            "3fff::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"]
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    fn public(allowed: &[&str]) -> Outward {
        Outward::Public(Arc::new(Allowed::parse(allowed).unwrap()))
    }

    /// What is written is refused as far as it tells; the operator allows networks and names.
    #[test]
    fn hosts() {
        let strict = public(&[]);
        let lenient = public(&["10.0.0.0/8", "fd00::/8", "Bot.Internal"]);
        for (host, of_strict, of_lenient) in [
            ("example.com", true, true),
            ("8.8.8.8", true, true),
            ("10.1.2.3", false, true),
            ("[fd00::1]", false, true),
            ("192.168.0.1", false, false),
            ("169.254.169.254", false, false),
            ("localhost", false, false),
            ("LOCALHOST.", false, false),
            ("x.localhost", false, false),
            ("[::ffff:127.0.0.1]", false, false),
            // Their addresses are judged when there are any.
            ("bot.internal", true, true),
            ("127.1", true, true),
        ] {
            assert_eq!(strict.check(host).is_ok(), of_strict, "{host}");
            assert_eq!(lenient.check(host).is_ok(), of_lenient, "{host}");
            assert!(Outward::Anywhere.check(host).is_ok(), "{host}");
        }
        let inside = "172.16.0.1".parse().unwrap();
        assert!(lenient.admits("bot.internal.", inside) && !strict.admits("bot.internal", inside));
    }

    /// Media go to no network of ours for a peer of another, and wherever a neighbour says.
    #[test]
    fn media_stay_outside() {
        let go = |outward: &Outward, named: &str, signalling: &str| {
            outward.media(named.parse().unwrap(), signalling.parse().unwrap()).to_string()
        };
        let strict = public(&[]);
        assert_eq!(go(&strict, "10.0.0.1:53", "8.8.8.8"), "8.8.8.8:53");
        assert_eq!(go(&strict, "9.9.9.9:4000", "8.8.8.8"), "9.9.9.9:4000");
        assert_eq!(go(&strict, "10.0.0.1:4000", "10.0.0.2"), "10.0.0.1:4000");
        assert_eq!(go(&public(&["10.0.0.0/8"]), "10.0.0.1:4000", "8.8.8.8"), "10.0.0.1:4000");
        assert_eq!(go(&Outward::Anywhere, "10.0.0.1:4000", "8.8.8.8"), "10.0.0.1:4000");
    }

    /// Names are judged by where they lead, in every way to write an address that the system
    /// knows; only what was judged is connected to.
    #[tokio::test]
    async fn names_are_judged_by_their_addresses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1"] {
            let error = public(&[]).connect(host, port).await.unwrap_err();
            assert!(matches!(error, OutwardError::Private | OutwardError::Name), "{host}: {error}");
        }
        assert!(public(&["127.0.0.0/8"]).connect("localhost", port).await.is_ok());
        assert!(public(&["localhost"]).connect("localhost", port).await.is_ok());
        assert!(Outward::Anywhere.connect("127.0.0.1", port).await.is_ok());
        let nowhere = Outward::Anywhere.locate("nobody.invalid", 1).await;
        assert!(matches!(nowhere, Err(OutwardError::Name)));
    }
}
