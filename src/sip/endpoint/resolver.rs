//! Asks DNS what [`Locator`] wants to know. Answers are kept as long as they say.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::sip::core::endpoint::Transport;
use crate::sip::core::locate::{Answer, LocateError, Locator, Naptr, Question, Srv, Target};
use crate::sip::core::uri::Uri;

/// Answers that are kept.
pub const CACHE_MAX: u64 = 4_096;
/// How long an answer is kept at most, whatever it says: somebody may have to move.
pub const KEEP_MAX: Duration = Duration::from_secs(3_600);
/// How long it is kept at most that there are no such records.
pub const KEEP_NOTHING_MAX: Duration = Duration::from_secs(30);
/// How long one question to one name server may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// How long all questions about one URI may take.
pub const LOCATE_TIMEOUT: Duration = Duration::from_secs(8);

/// Why nobody was found behind a URI.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The URI cannot be followed.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// Its name leads to no server that we could send to.
    #[error("no server is found behind {0}")]
    Nobody(String),
    /// The name servers do not answer.
    #[error("name servers do not answer for {name}: {source}")]
    Dns {
        /// The name.
        name: String,
        /// Why.
        source: NetError,
    },
    /// The name servers take too long.
    #[error("name servers take too long for {0}")]
    Timeout(String),
    /// The system says nothing of name servers.
    #[error("name servers of this system: {0}")]
    System(#[source] NetError),
}

/// Finds the servers of SIP URIs; cheap to clone.
#[derive(Clone)]
pub struct Resolver(TokioResolver);

impl Resolver {
    /// Asks `servers`, or those of the system if none are named. Call it within a runtime.
    ///
    /// # Errors
    /// When the system's settings cannot be read.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, ResolveError> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(ResolveError::System)?
        } else {
            let servers = servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.to_vec())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.cache_size = CACHE_MAX;
        options.positive_max_ttl = Some(KEEP_MAX);
        options.negative_max_ttl = Some(KEEP_NOTHING_MAX);
        options.timeout = QUESTION_TIMEOUT;
        builder.build().map(Self).map_err(ResolveError::System)
    }

    /// The servers behind a URI, in the order in which they are to be tried. `able` as in
    /// [`Locator::new`].
    ///
    /// # Errors
    /// [`ResolveError`]; never an empty list.
    pub async fn locate(
        &self,
        uri: &str,
        able: &[(Transport, bool)],
    ) -> Result<Vec<Target>, ResolveError> {
        let parsed = Uri::parse(uri).map_err(|_| LocateError::Uri)?;
        let mut locator = Locator::new(&parsed, able)?;
        let host = parsed.host.map(|host| host.to_string()).unwrap_or_default();
        let asking = self.ask(&mut locator);
        match tokio::time::timeout(LOCATE_TIMEOUT, asking).await {
            Err(_) => return Err(ResolveError::Timeout(host)),
            Ok(Err((name, source))) => return Err(ResolveError::Dns { name, source }),
            Ok(Ok(())) => {}
        }
        match locator.into_targets() {
            targets if targets.is_empty() => Err(ResolveError::Nobody(host)),
            targets => Ok(targets),
        }
    }

    async fn ask(&self, locator: &mut Locator) -> Result<(), (String, NetError)> {
        // A question that fails is not the end while others may still be answered.
        let mut failed = None;
        let mut found = false;
        while let Some(question) = locator.question() {
            let answer = match question {
                Question::Naptr(name) => {
                    self.records(&name, RecordType::NAPTR, &mut failed).await.naptr()
                }
                Question::Srv(name) => {
                    self.records(&name, RecordType::SRV, &mut failed).await.srv()
                }
                Question::Addresses(name) => {
                    let (v4, v6) = (RecordType::A, RecordType::AAAA);
                    let mut records = self.records(&name, v4, &mut failed).await;
                    records.0.extend(self.records(&name, v6, &mut failed).await.0);
                    let addresses = records.addresses();
                    found |= !addresses.is_empty();
                    Answer::Addresses(addresses)
                }
            };
            locator.answer(answer, |max| fastrand::u32(0..=max));
        }
        failed.filter(|_| !found).map_or(Ok(()), Err)
    }

    /// The records of a name; none also if nobody answers, which `failed` takes note of.
    async fn records(
        &self,
        name: &str,
        kind: RecordType,
        failed: &mut Option<(String, NetError)>,
    ) -> Records {
        // A name with a dot is whole: no domain of ours is to be tried behind it.
        let dot = if name.contains('.') && !name.ends_with('.') { "." } else { "" };
        match self.0.lookup(format!("{name}{dot}"), kind).await {
            Ok(lookup) => {
                Records(lookup.answers().iter().map(|record| record.data.clone()).collect())
            }
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
                Records(Vec::new())
            }
            Err(error) => {
                failed.get_or_insert((name.to_owned(), error));
                Records(Vec::new())
            }
        }
    }
}

struct Records(Vec<RData>);

impl Records {
    fn naptr(self) -> Answer {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let records = self.0.iter().filter_map(|data| match data {
            RData::NAPTR(naptr) => Some(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                flags: text(&naptr.flags),
                service: text(&naptr.services),
                replacement: naptr.replacement.to_utf8(),
            }),
            _ => None,
        });
        Answer::Naptr(records.collect())
    }

    fn srv(self) -> Answer {
        let records = self.0.iter().filter_map(|data| match data {
            RData::SRV(srv) => Some(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_utf8(),
            }),
            _ => None,
        });
        Answer::Srv(records.collect())
    }

    fn addresses(self) -> Vec<IpAddr> {
        let records = self.0.iter().filter_map(|data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        records.collect()
    }
}
