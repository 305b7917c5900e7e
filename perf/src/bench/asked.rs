//! What density and soak are asked alike: whom to call, how, and which process to watch.

use std::fmt;
use std::net::Ipv4Addr;

use super::lines::Lines;
use super::played::Played;
use super::target::Target;
use crate::error::{PerfError, Result};
use crate::line::talk::Dialect;
use crate::load::meter::Meter;
use crate::report::Setup;
use crate::run::{LoadArgs, Up, calls, prepare_server};
use crate::sip::access::Access;
use crate::sound::Codec;
use crate::srtp::Suite;

/// Milliseconds of a frame on a media socket.
const LINE_PTIME_MS: u32 = 20;

/// What is due within one tick is sent together, in microseconds.
const TICK_US: u64 = 100;

/// What a bare media WebSocket is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Speaks {
    /// The most common carrier's media streams.
    #[default]
    Streams,
    /// The media WebSocket of an Asterisk, with µ-law.
    Pbx,
}

/// Arguments of both.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Asked {
    /// Who is called and says back what it hears: `sip:USER@HOST:PORT`, `ws://HOST:PORT/PATH` (a
    /// media socket), or `audiosocket://HOST:PORT/UUID`.
    #[arg(default_value = "sip:echo@127.0.0.1")]
    pub(crate) target: Target,
    /// What the media socket `ws://` is spoken to in.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) speaks: Speaks,
    #[command(flatten)]
    pub(crate) played: Played,
    /// Who calls by SIP, and whom TLS trusts.
    #[command(flatten)]
    pub(crate) access: Access,
    /// Calls placed a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: u64,
    /// Codec of SIP calls; what comes back in another one than PCMU is counted, not compared.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) codec: Codec,
    /// Secures SIP calls by SRTP with this suite, keys by SDES.
    #[arg(long, value_enum)]
    pub(crate) srtp: Option<Suite>,
    /// Milliseconds of audio a packet of RTP.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(5..=60))]
    pub(crate) ptime: u32,
    /// Process of the server, whose CPU and memory are read.
    #[arg(long)]
    pub(crate) watch: Option<u32>,
    /// CPU that the watched process is pinned to.
    #[arg(long, requires = "watch")]
    pub(crate) server_cpu: Option<usize>,
    /// CPU that the generator is pinned to.
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// Scheduling priority of this process and the server (negative: before others).
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) nice: Option<i32>,
    /// Our own address, for SIP.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    pub(crate) local: Ipv4Addr,
    /// Prints one JSON object instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where calls come from, ready for any number of them.
pub(crate) enum Source {
    /// By SIP, each time anew.
    Sip,
    /// By media sockets.
    Lines(Lines),
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.played.or(&self.target))
    }
}

impl Asked {
    /// Makes calls possible.
    pub(crate) fn open(&self) -> Result<Source> {
        if self.played.is_wanted() || !matches!(self.target, Target::Sip { .. }) {
            self.access.only_by_sip()?;
        }
        if let Some(carrier) = self.played.set_up()? {
            return Ok(Source::Lines(Lines::Carrier(Box::new(carrier))));
        }
        let dialect = match (&self.target, self.speaks) {
            (Target::Sip { .. }, _) => return Ok(Source::Sip),
            (Target::AudioSocket { .. }, _) => Dialect::AudioSocket,
            (Target::Media { .. }, Speaks::Streams) => Dialect::Streams,
            (Target::Media { .. }, Speaks::Pbx) => Dialect::Media,
        };
        Ok(Source::Lines(Lines::Bare(self.target.clone(), dialect)))
    }

    /// What is sent back is what was sent, bit by bit.
    pub(crate) fn exact(&self) -> bool {
        self.played.is_wanted()
            || !matches!(self.target, Target::Sip { .. })
            || self.codec == Codec::Pcmu
    }

    /// Milliseconds of audio a packet.
    pub(crate) fn ptime_ms(&self, source: &Source) -> u32 {
        match source {
            Source::Sip => self.ptime,
            Source::Lines(_) => LINE_PTIME_MS,
        }
    }

    /// Settings of a run.
    pub(crate) fn load(&self, source: &Source, calls: usize, secs: u64) -> LoadArgs {
        LoadArgs {
            calls,
            secs,
            warm: 1,
            ptime: self.ptime_ms(source),
            tick_us: TICK_US,
            cpu: self.cpu,
            nice: self.nice,
            neighbour: None,
            flame: None,
            retries: 0,
            json: self.json,
        }
    }

    /// Places calls, lets `talk` have them while they are up, and hangs up.
    pub(crate) fn during<R>(
        &self,
        source: &Source,
        load: &LoadArgs,
        talk: impl FnOnce(Up<'_>) -> Result<R>,
    ) -> Result<(R, Setup)> {
        if let Source::Lines(lines) = source {
            prepare_server(self.watch, self.server_cpu, self.nice)?;
            let meter = Meter::new(self.watch);
            return lines.during((load.calls, self.rate), load.pace(), meter, talk);
        }
        let Target::Sip { server, host, user, transport } = &self.target else {
            return Err(PerfError::Usage("no SIP target".into()));
        };
        let args = calls::Args {
            sip: *server,
            to: user.clone(),
            rate: self.rate,
            load: load.clone(),
            watch: self.watch,
            server_cpu: self.server_cpu,
            with_agent: None,
            transport: *transport,
            access: self.access.at(host),
            codec: self.codec,
            srtp: self.srtp,
            altered: false,
            local: self.local,
        };
        calls::during(&args, None, talk)
    }
}
