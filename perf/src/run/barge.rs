//! `barge`: from an agent's `clear` to the last stale packet, and its ledger against the wire.
//!
//! This process is both the phone and the agent, so one clock serves both ends.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd as _;

use serde::Serialize;
use socket2::{SockAddr, Socket};

use super::agent::GOODBYE_NS;
use super::calls::Desk;
use super::{prepare, prepare_server};
use crate::agent::barge::{Barge, QUEUED_SAMPLES, Trial};
use crate::agent::server::Server;
use crate::error::{PerfError, Result};
use crate::load::engine::times;
use crate::load::meter::{Cost, Meter};
use crate::numbered::{Run, Tracker};
use crate::pattern;
use crate::report::{self, Quantiles, Setup, Table};
use crate::rtp::{self, Faults, Judge, PCMU, SAMPLES_MS};
use crate::sip::access::Access;
use crate::sip::link::Transport;
use crate::sip::signalling::{Callee, Signalling};
use crate::sip::uac::Event;
use crate::sound::Codec;
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::net::{self, RtpPorts};
use crate::sys::poll::Poll;

/// The loop runs at least this often, in nanoseconds.
const TURN_NS: u64 = 500_000;

/// The callers' packet interval, in nanoseconds.
const PTIME_NS: u64 = 20_000_000;

/// Samples in one of the callers' packets.
const SAMPLES: usize = 160;

/// A trial takes about this long, in nanoseconds.
const TRIAL_NS: u64 = 1_200_000_000;

/// A run may take so much longer than its trials, in nanoseconds.
const PATIENCE_NS: u64 = 30 * SECOND_NS;

/// The last stale packet may arrive so long after `clear`, in microseconds.
const STALE_LIMIT_US: f64 = 20_000.0;

/// Mismatches shown at most.
const SHOWN: usize = 12;

/// Arguments of `barge`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    sip: SocketAddrV4,
    /// User to call: its route must lead to the agent that listens on `--listen`.
    #[arg(long, default_value = "bench")]
    to: String,
    /// Where the agent listens for the server's dial.
    #[arg(long, default_value = "127.0.0.1:9100")]
    listen: SocketAddrV4,
    /// Trials in all.
    #[arg(long, default_value_t = 1000)]
    trials: u16,
    /// Calls they are spread over.
    #[arg(long, default_value_t = 20)]
    calls: u16,
    /// Process whose CPU and memory are read.
    #[arg(long)]
    watch: Option<u32>,
    /// CPU that the watched process is pinned to.
    #[arg(long, requires = "watch")]
    server_cpu: Option<usize>,
    /// CPU that phone and agent are pinned to.
    #[arg(long)]
    cpu: Option<usize>,
    /// Scheduling priority of this process and the server (negative: before others).
    #[arg(long, allow_negative_numbers = true)]
    nice: Option<i32>,
    /// Seed of the random waits.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints each text message.
    #[arg(long)]
    verbose: bool,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// What was heard of one trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heard {
    samples: u64,
    first_ns: u64,
    last_ns: u64,
}

/// One caller.
struct Phone {
    socket: Socket,
    rtcp: Socket,
    peer: Option<SocketAddrV4>,
    next_ns: u64,
    index: u32,
    tracker: Tracker,
    judge: Judge,
    heard: HashMap<u16, Heard>,
    unknown: u64,
    fill: u64,
}

impl Phone {
    fn talk(&mut self, id: u32, now_ns: u64) {
        let Some(peer) = self.peer.filter(|_| now_ns >= self.next_ns) else { return };
        self.next_ns += PTIME_NS;
        let mut packet = [0; rtp::HEADER_BYTES + SAMPLES];
        let head = rtp::header(
            PCMU,
            self.index == 0,
            self.index as u16,
            self.index.wrapping_mul(SAMPLES as u32),
            id + 1,
        );
        if let Some((header, payload)) = packet.split_first_chunk_mut() {
            *header = head;
            pattern::fill(payload, id, self.index);
        }
        self.index = self.index.wrapping_add(1);
        // A server that hung up answers with an ICMP error; the signalling tells the same.
        let _ = self.socket.send_to(&packet, &SockAddr::from(peer));
    }

    fn listen(&mut self, scratch: &mut [u8]) {
        while net::receive(&self.rtcp, scratch).is_ok() {}
        while let Ok(arrival) = net::receive(&self.socket, scratch) {
            let Some(packet) = scratch.get(..arrival.length).and_then(rtp::parse) else {
                self.judge.faults.not_rtp += 1;
                continue;
            };
            self.judge.see(&packet);
            let Self { tracker, heard, unknown, fill, .. } = self;
            tracker.feed(packet.payload, |run| match run {
                Run::Played { trial, count, .. } => {
                    let entry = heard.entry(trial).or_default();
                    if entry.samples == 0 {
                        entry.first_ns = arrival.stamp_ns;
                    }
                    entry.samples += u64::from(count);
                    entry.last_ns = arrival.stamp_ns;
                }
                Run::Fill(count) => *fill += u64::from(count),
                Run::Unknown(count) => *unknown += u64::from(count),
            });
        }
    }
}

/// The result.
#[derive(Clone, Debug, Serialize)]
struct BargeReport {
    calls: u16,
    /// Trials asked for.
    wanted: u16,
    /// Trials with a `clear`.
    trials: usize,
    /// From `clear` to the arrival of the last stale packet; 0 if none came after it.
    stale_us: Quantiles,
    /// Trials beyond 20 ms.
    over_limit: u64,
    /// From the audio's sending to its first packet.
    first_packet_us: Quantiles,
    /// Trials whose `cleared`, mark and utterance all name the samples on the wire.
    ledger_exact: usize,
    /// The first of the others.
    mismatches: Vec<String>,
    /// Samples on the wire that were neither due nor fill.
    unknown_samples: u64,
    /// Samples of silence on the wire.
    fill_samples: u64,
    headers: Faults,
    setup: Setup,
    cost: Cost,
}

impl BargeReport {
    fn good(&self) -> bool {
        self.trials == usize::from(self.wanted)
            && self.ledger_exact == self.trials
            && self.over_limit == 0
            && self.unknown_samples == 0
            && self.headers.total() == 0
    }

    fn table(&self) -> String {
        let mut table = Table::default();
        let what = format!("{} of {} trials in {} calls", self.trials, self.wanted, self.calls);
        table.row("barge-in", &what);
        table.times("clear to last stale", Some(&self.stale_us));
        table.row("  beyond 20 ms", &self.over_limit.to_string());
        table.times("first packet", Some(&self.first_packet_us));
        let ledger = format!("{} of {} exact to the sample", self.ledger_exact, self.trials);
        table.row("ledger", &ledger);
        for mismatch in &self.mismatches {
            table.row("", mismatch);
        }
        table.row(
            "wire",
            &format!(
                "unknown samples {}, fill {}, header faults {}",
                self.unknown_samples,
                self.fill_samples,
                serde_json::to_string(&self.headers).unwrap_or_default()
            ),
        );
        table.setup(&self.setup);
        table.noise(&self.cost, 1);
        table.row("verdict", if self.good() { "good" } else { "NOT GOOD" });
        table.text
    }
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.cpu, args.nice)?;
    prepare_server(args.watch, args.server_cpu, args.nice)?;
    let report = once(args)?;
    report::print(args.json, &report, || report.table())?;
    Ok(report.good())
}

struct Bench {
    poll: Poll,
    phones: Vec<Phone>,
    signalling: Signalling,
    desk: Desk,
    agent: Server<Barge>,
    scratch: Vec<u8>,
}

fn open(args: &Args, per_call: u16) -> Result<Bench> {
    let mut barge = Barge::new(per_call, args.seed);
    barge.verbose = args.verbose;
    let agent = Server::listen(args.listen, barge)?;
    let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    let signalling = Signalling::open(&Callee {
        server: args.sip,
        user: args.to.clone(),
        transport: Transport::Udp,
        local,
        ptime_ms: 20,
        codec: Codec::Pcmu,
        srtp: None,
        access: Access::default(),
    })?;
    let poll = Poll::new()?;
    poll.add(agent.as_raw_fd(), 0)?;
    poll.add(signalling.as_raw_fd(), 0)?;
    let mut phones = Vec::new();
    let mut ports = RtpPorts::new(Ipv4Addr::LOCALHOST);
    for _ in 0..args.calls {
        let (socket, rtcp) = ports.pair().map_err(PerfError::io("opening RTP sockets"))?;
        poll.add(socket.as_raw_fd(), 0)?;
        phones.push(Phone {
            socket,
            rtcp,
            peer: None,
            next_ns: 0,
            index: 0,
            tracker: Tracker::default(),
            judge: Judge::of(PCMU),
            heard: HashMap::new(),
            unknown: 0,
            fill: 0,
        });
    }
    let scratch = vec![0; 65_536];
    Ok(Bench { poll, phones, signalling, desk: Desk::new()?, agent, scratch })
}

impl Bench {
    /// Waits for something to do, and does all that is due.
    fn turn(&mut self) -> Result<()> {
        let mut ready = Vec::new();
        self.poll.wait_into(Some(TURN_NS), &mut ready)?;
        for phone in &mut self.phones {
            phone.listen(&mut self.scratch);
        }
        self.agent.pump(Some(0))?;
        self.agent.timers();
        let (desk, phones) = (&mut self.desk, &mut self.phones);
        self.signalling.pump(|event| {
            desk.book(event);
            if let Event::Answered { call, rtp, .. } = event
                && let Some(phone) = phones.get_mut(call as usize)
            {
                phone.peer = Some(rtp);
                phone.next_ns = clock::mono_ns();
            }
        })?;
        let now = clock::mono_ns();
        for (id, phone) in (0u32..).zip(self.phones.iter_mut()) {
            phone.talk(id, now);
        }
        Ok(())
    }

    fn turn_for(&mut self, ns: u64) -> Result<()> {
        let end = clock::mono_ns() + ns;
        while clock::mono_ns() < end {
            self.turn()?;
        }
        Ok(())
    }
}

fn once(args: &Args) -> Result<BargeReport> {
    let calls = args.calls.max(1);
    let per_call = args.trials.div_ceil(calls);
    let wanted = per_call * calls;
    let mut meter = Meter::new(args.watch);
    let mut bench = open(args, per_call)?;
    for id in 0..u32::from(calls) {
        let rtp = bench.phones.get(id as usize).map(|phone| net::local(&phone.socket));
        let rtp = rtp.ok_or_else(|| PerfError::Usage("no phone".into()))??;
        bench.desk.placed();
        bench.signalling.invite(id, rtp)?;
        // Spread, so that the calls' packets are.
        bench.turn_for(PTIME_NS + PTIME_NS / u64::from(calls))?;
    }
    meter.open();
    let end = clock::mono_ns() + u64::from(per_call) * TRIAL_NS + PATIENCE_NS;
    let (mut done, mut failed) = (0, 0);
    while done + failed < usize::from(calls) && clock::mono_ns() < end {
        bench.turn()?;
        done = bench.agent.handler.finished();
        failed = bench.desk.failures() as usize;
    }
    bench.turn_for(5 * PTIME_NS)?;
    meter.close();
    bench.desk.hanging_up();
    for id in 0..u32::from(calls) {
        bench.signalling.hang_up(id)?;
    }
    let end = clock::mono_ns() + PATIENCE_NS;
    while bench.desk.pending() > 0 && clock::mono_ns() < end {
        bench.turn()?;
    }
    let end = clock::mono_ns() + GOODBYE_NS;
    while bench.agent.live() > 0 && clock::mono_ns() < end {
        bench.turn()?;
    }
    report(&bench.phones, &bench.agent.handler.trials, per_call).map(|mut report| {
        report.calls = calls;
        report.wanted = wanted;
        report.setup = bench.desk.result(&bench.signalling);
        report.cost = meter.cost(usize::from(calls), report.trials as u64);
        report
    })
}

/// Compares the agents' books with what the phones heard.
fn report(phones: &[Phone], trials: &[Trial], per_call: u16) -> Result<BargeReport> {
    let mut heard: HashMap<u16, Heard> = HashMap::new();
    let mut headers = Faults::default();
    for phone in phones {
        headers.add(&phone.judge.faults);
        heard.extend(&phone.heard);
    }
    let (mut stale, mut first) = (times()?, times()?);
    let (mut over_limit, mut exact, mut mismatches) = (0, 0, Vec::new());
    let mut sums: HashMap<u16, u64> = HashMap::new();
    let mut ordered: Vec<&Trial> = trials.iter().collect();
    ordered.sort_by_key(|trial| trial.trial);
    for trial in &ordered {
        let on_wire = heard.get(&trial.trial).copied().unwrap_or_default();
        let call = trial.trial / per_call.max(1);
        let sum = sums.entry(call).or_default();
        *sum += on_wire.samples;
        if trial.clear_sent_ns == 0 {
            continue;
        }
        let late_ns = on_wire.last_ns.saturating_sub(trial.clear_sent_ns);
        stale.saturating_record(late_ns);
        over_limit += u64::from(late_ns as f64 / 1000.0 > STALE_LIMIT_US);
        first.saturating_record(on_wire.first_ns.saturating_sub(trial.queued_ns));
        match judge(trial, on_wire.samples, *sum) {
            None => exact += 1,
            Some(wrong) if mismatches.len() < SHOWN => mismatches.push(wrong),
            Some(_) => {}
        }
    }
    Ok(BargeReport {
        calls: 0,
        wanted: 0,
        trials: ordered.iter().filter(|trial| trial.clear_sent_ns > 0).count(),
        stale_us: Quantiles::of(&stale),
        over_limit,
        first_packet_us: Quantiles::of(&first),
        ledger_exact: exact,
        mismatches,
        unknown_samples: phones.iter().map(|phone| phone.unknown).sum(),
        fill_samples: phones.iter().map(|phone| phone.fill).sum(),
        headers,
        setup: Setup::default(),
        cost: Cost::default(),
    })
}

/// What a trial's ledger says otherwise than the wire: `samples` of the trial, `sum` of the call.
fn judge(trial: &Trial, samples: u64, sum: u64) -> Option<String> {
    let dropped_ms = (u64::from(QUEUED_SAMPLES).saturating_sub(samples)) / u64::from(SAMPLES_MS);
    let drop_fits = trial.dropped_ms.is_some_and(|ms| ms.abs_diff(dropped_ms) <= 1);
    let mark = Some((sum, "cleared".to_owned()));
    let right = trial.cleared_samples == Some(sum)
        && trial.mark == mark
        && trial.utterance == Some((samples, false))
        && drop_fits
        && trial.errors.is_empty()
        && samples > 0
        && !trial.clear_was_behind;
    (!right).then(|| {
        let Trial { trial: number, cleared_samples, dropped_ms: dropped, .. } = trial;
        let Trial { mark, utterance, errors, clear_was_behind: behind, .. } = trial;
        format!(
            "trial {number}: wire {samples} of {sum}; cleared {cleared_samples:?}, mark {mark:?}, \
             utterance {utterance:?}, dropped_ms {dropped:?} (wire {dropped_ms}), \
             behind audio {behind}, errors {errors:?}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact() -> Trial {
        Trial {
            trial: 3,
            queued_ns: 1,
            clear_sent_ns: 2,
            cleared_samples: Some(4_000),
            dropped_ms: Some(19_800),
            mark: Some((4_000, "cleared".into())),
            utterance: Some((1_600, false)),
            ..Trial::default()
        }
    }

    /// A ledger off by one sample anywhere is a mismatch.
    #[test]
    fn judges_to_the_sample() {
        assert_eq!(judge(&exact(), 1_600, 4_000), None);
        for wrong in [
            Trial { cleared_samples: Some(4_001), ..exact() },
            Trial { cleared_samples: None, ..exact() },
            Trial { mark: Some((3_999, "cleared".into())), ..exact() },
            Trial { mark: Some((4_000, "played".into())), ..exact() },
            Trial { utterance: Some((1_600, true)), ..exact() },
            Trial { utterance: Some((1_599, false)), ..exact() },
            Trial { dropped_ms: Some(19_802), ..exact() },
            Trial { errors: vec!["x".into()], ..exact() },
        ] {
            assert!(judge(&wrong, 1_600, 4_000).is_some(), "{wrong:?}");
        }
        assert!(judge(&exact(), 1_601, 4_000).is_some());
        assert!(judge(&exact(), 0, 4_000).is_some());
    }
}
