//! Results: one JSON object, or a table for a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::agent::echo::Seen;
use crate::error::Result;
use crate::load::account::Tally;
use crate::load::engine::Times;
use crate::load::heard::Heard;
use crate::load::meter::{Cost, OTHERS_LIMIT_PCT, STEAL_LIMIT_PCT};
use crate::rtp::Faults;
use crate::sip::uac::Counters;

/// Quantiles of a time in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Quantiles {
    /// Values.
    pub(crate) count: u64,
    /// Mean.
    pub(crate) mean: f64,
    /// Median.
    pub(crate) p50: f64,
    /// 90 %.
    pub(crate) p90: f64,
    /// 95 %.
    pub(crate) p95: f64,
    /// 99 %.
    pub(crate) p99: f64,
    /// 99.9 %.
    pub(crate) p999: f64,
    /// Largest.
    pub(crate) max: f64,
}

impl Quantiles {
    /// From a histogram of nanoseconds.
    pub(crate) fn of(times: &Times) -> Self {
        let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1000.0;
        if times.is_empty() {
            return Self::default();
        }
        Self {
            count: times.len(),
            mean: times.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: times.max() as f64 / 1000.0,
        }
    }

    /// From a histogram that may be empty.
    fn some(times: &Times) -> Option<Self> {
        (!times.is_empty()).then(|| Self::of(times))
    }
}

/// The median; of an even number of values that lies half way between the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let below = sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some(below.midpoint(*sorted.get(sorted.len() / 2)?))
}

/// How the calls of a run came up and went.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Setup {
    /// Placed.
    pub(crate) placed: u64,
    /// Answered.
    pub(crate) answered: u64,
    /// Not answered, by reason.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Hung up by the server while they were meant to last.
    pub(crate) hung_up_by_server: u64,
    /// BYE sent, no answer to it.
    pub(crate) bye_unanswered: u64,
    /// INVITE to 200.
    pub(crate) invite_to_200_us: Quantiles,
    /// BYE to its 200.
    pub(crate) bye_to_200_us: Quantiles,
    /// Message counters.
    pub(crate) messages: Counters,
}

/// A run of the media generator.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LoadReport {
    /// What was measured.
    pub(crate) what: String,
    /// Calls meant to be up.
    pub(crate) calls: usize,
    /// Calls that were.
    pub(crate) up: usize,
    /// Milliseconds of audio a packet.
    pub(crate) ptime_ms: u32,
    /// Fates of the packets.
    pub(crate) content: Tally,
    /// Faults of the RTP headers that came back.
    pub(crate) headers: Faults,
    /// RTCP packets that came.
    pub(crate) rtcp: u64,
    /// Calls of which nothing came back.
    pub(crate) starved: usize,
    /// Send to return.
    pub(crate) echo_us: Quantiles,
    /// Send to arrival at the agent, if the agent is in this process.
    pub(crate) forward_us: Option<Quantiles>,
    /// The agent's sending to return.
    pub(crate) return_us: Option<Quantiles>,
    /// Arrivals against the stream's own media clock, from its earliest packet.
    pub(crate) egress_lateness_us: Quantiles,
    /// Our own sending against its schedule.
    pub(crate) generator_late_us: Quantiles,
    /// CPU, memory, steal, drops.
    pub(crate) cost: Cost,
    /// Signalling, where there was any.
    pub(crate) setup: Option<Setup>,
    /// The agent's side, if it is in this process.
    pub(crate) agent: Option<Seen>,
    /// Runs made until one was quiet.
    pub(crate) attempts: u32,
}

impl LoadReport {
    /// Puts together what generator and meter have.
    pub(crate) fn new(what: String, calls: usize, ptime_ms: u32, heard: Heard, cost: Cost) -> Self {
        Self {
            what,
            calls,
            up: calls,
            ptime_ms,
            echo_us: Quantiles::of(&heard.echo),
            forward_us: Quantiles::some(&heard.forward),
            return_us: Quantiles::some(&heard.back),
            egress_lateness_us: Quantiles::of(&heard.lateness),
            generator_late_us: Quantiles::of(&heard.generator_late),
            content: heard.tally,
            headers: heard.faults,
            rtcp: heard.rtcp,
            starved: heard.starved,
            cost,
            setup: None,
            agent: None,
            attempts: 1,
        }
    }

    /// Every packet came back as it should, nothing was dropped, every call came up.
    pub(crate) fn clean(&self) -> bool {
        let agent = self.agent.as_ref();
        self.content.faults() == 0
            && self.content.returned > 0
            && self.headers.total() == 0
            && self.cost.drops.total() == 0
            && self.up == self.calls
            && agent.is_none_or(|seen| seen.altered + seen.errors + seen.headers.total() == 0)
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::default();
        let (content, headers, cost) = (&self.content, &self.headers, &self.cost);
        table.row("what", &format!("{}, {} of {} calls", self.what, self.up, self.calls));
        table.row(
            "content",
            &format!(
                "{} sent, {} back exact; lost {}, duplicated {}, altered {}, foreign {}; fill {}",
                content.sent,
                content.returned,
                content.lost,
                content.duplicated,
                content.altered,
                content.foreign,
                content.fill
            ),
        );
        table.row(
            "RTP headers",
            &format!(
                "gaps {}, out of order {}, bad timestamp {}, SSRC changes {}, bad type {}, \
                 no RTP {}; RTCP {}; starved calls {}",
                headers.gaps,
                headers.out_of_order,
                headers.bad_timestamp,
                headers.ssrc_changes,
                headers.bad_payload_type,
                headers.not_rtp,
                self.rtcp,
                self.starved
            ),
        );
        table.times("echo", Some(&self.echo_us));
        table.times("  to the agent", self.forward_us.as_ref());
        table.times("  from the agent", self.return_us.as_ref());
        table.times("egress lateness", Some(&self.egress_lateness_us));
        table.times("generator late", Some(&self.generator_late_us));
        if let Some(setup) = &self.setup {
            table.setup(setup);
        }
        if let Some(agent) = &self.agent {
            table.row("agent", &serde_json::to_string(agent).unwrap_or_default());
        }
        table.per_call(cost);
        table.noise(cost, self.attempts);
        let verdict = if self.clean() { "clean" } else { "NOT CLEAN" };
        table.row("verdict", verdict);
        table.text
    }
}

/// Aligned rows.
#[derive(Default)]
pub(crate) struct Table {
    /// What has been written.
    pub(crate) text: String,
}

impl Table {
    /// One row.
    pub(crate) fn row(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.text, "{name:<18} {value}");
    }

    /// Quantiles, if there are any.
    pub(crate) fn times(&mut self, name: &str, times: Option<&Quantiles>) {
        let Some(t) = times.filter(|times| times.count > 0) else { return };
        let value = format!(
            "p50 {:.0}  p90 {:.0}  p95 {:.0}  p99 {:.0}  p99.9 {:.0}  max {:.0} µs  (n {})",
            t.p50, t.p90, t.p95, t.p99, t.p999, t.max, t.count
        );
        self.row(name, &value);
    }

    /// Signalling.
    pub(crate) fn setup(&mut self, setup: &Setup) {
        let failed: Vec<String> =
            setup.failed.iter().map(|(why, count)| format!("{why}: {count}")).collect();
        let value = format!(
            "{} placed, {} answered, failed [{}], hung up by server {}, BYE unanswered {}; \
             retransmitted {}, challenged {}, repeated answers {}, strange {}",
            setup.placed,
            setup.answered,
            failed.join(", "),
            setup.hung_up_by_server,
            setup.bye_unanswered,
            setup.messages.retransmitted,
            setup.messages.challenged,
            setup.messages.repeated_answers,
            setup.messages.strange
        );
        self.row("calls", &value);
        self.times("INVITE to 200", Some(&setup.invite_to_200_us));
        self.times("BYE to 200", Some(&setup.bye_to_200_us));
    }

    /// CPU and memory by call.
    pub(crate) fn per_call(&mut self, cost: &Cost) {
        self.row(
            "server CPU",
            &format!(
                "{:.2} % of a core, {:.1} % / 1000 calls, {:.2} µs a packet in+out  {}",
                cost.server_cpu_pct,
                cost.server_cpu_pct_per_1000,
                cost.server_us_per_packet,
                threads(cost)
            ),
        );
        self.row(
            "context switches",
            &format!(
                "{:.0} a second to wait, {:.0} taken from it",
                cost.yields_hz, cost.preemptions_hz
            ),
        );
        self.row(
            "server memory",
            &format!(
                "{} KiB idle, {} KiB loaded, {:.1} KiB a call",
                cost.rss_idle_kib, cost.rss_kib, cost.kib_per_call
            ),
        );
    }

    /// The generator's own CPU, drops, and what else the machine did.
    pub(crate) fn noise(&mut self, cost: &Cost, attempts: u32) {
        self.row("generator CPU", &format!("{:.1} %", cost.generator_cpu_pct));
        let drops = &cost.drops;
        self.row(
            "kernel drops",
            &format!(
                "sockets {}, RcvbufErrors {}, SndbufErrors {}, backlog {}",
                drops.sockets, drops.receive_buffer, drops.send_buffer, drops.backlog
            ),
        );
        let verdict = if cost.quiet {
            "quiet".to_owned()
        } else {
            format!("NOT QUIET (limits: steal {STEAL_LIMIT_PCT} %, others {OTHERS_LIMIT_PCT} %)")
        };
        self.row(
            "host",
            &format!(
                "steal {:?} %, busy {:?} %, others {:.0} %, wanted neighbour {:.0} % over {:.1} s: \
                 {verdict}, attempt {attempts}",
                cost.host.steal_pct,
                cost.host.busy_pct,
                cost.others_pct,
                cost.neighbour_pct,
                cost.seconds
            ),
        );
    }
}

/// The server's busiest threads.
pub(crate) fn threads(cost: &Cost) -> String {
    let list: Vec<String> = cost
        .server_threads
        .iter()
        .map(|thread| format!("{} {:.1}", thread.name, thread.cpu_pct))
        .collect();
    format!("[{}]", list.join(", "))
}

/// Prints a result as asked for.
pub(crate) fn print<T: Serialize>(
    json: bool,
    result: &T,
    table: impl FnOnce() -> String,
) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(result)?);
    } else {
        print!("{}", table());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The middle one of an odd number, and what lies half way between the two of an even one: the
    /// smaller would flatter.
    #[test]
    fn medians() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([4.0, 1.0]), Some(2.5));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }
}
