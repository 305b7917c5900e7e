//! A server that a measurement starts itself, and the calls that it places there.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::server::Server;
use super::{LoadArgs, calls};
use crate::error::Result;
use crate::sip::access::Access;
use crate::sip::link::Transport;
use crate::sound::Codec;

/// Arguments of measurements that start the server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Hosted {
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    pub(crate) sip: SocketAddrV4,
    /// Calls placed a second.
    #[arg(long, default_value_t = 50)]
    pub(crate) rate: u64,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Command that starts the server; it is started anew for each measurement.
    #[arg(long)]
    server: String,
    /// CPU that the server is pinned to, and a floor beside it.
    #[arg(long)]
    pub(crate) server_cpu: Option<usize>,
}

impl Hosted {
    /// Starts the server.
    pub(crate) fn start(&self) -> Result<Server> {
        Server::start(&self.server, self.sip, self.server_cpu)
    }

    /// Calls of `to` at this server, whose agent says something of its own: audio is counted, not
    /// compared.
    pub(crate) fn calls(&self, server: &Server, to: &str) -> calls::Args {
        calls::Args {
            sip: self.sip,
            to: to.to_owned(),
            rate: self.rate,
            load: self.load.clone(),
            watch: Some(server.pid()),
            server_cpu: self.server_cpu,
            with_agent: None,
            transport: Transport::Udp,
            access: Access::default(),
            local: Ipv4Addr::LOCALHOST,
            codec: Codec::Pcmu,
            srtp: None,
            altered: true,
        }
    }
}
