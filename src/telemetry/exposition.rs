//! Puts the metrics into text: names, help, labels. `talkpath_<noun>_<unit>[_total]`.

use std::fmt::Error;
use std::sync::Arc;

use media::silence::{Reason, Way};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::histogram::Snapshot;
use super::labels::{
    CallDirection, DialOutcome, DropReason, Forgotten, Kind, SipAuth, SipDrop, SipMethod,
    StatusClass,
};
use super::metrics::{LogMetrics, Metrics, RetentionMetrics};
use super::process::Process;
use super::stages;
use super::worker::{Counter, WorkerMetrics};

/// The metrics, read when a scrape asks.
#[derive(Debug)]
pub(super) struct Exposition(pub(super) Arc<Metrics>);

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Out(encoder);
        server(&mut out, &self.0)?;
        calls(&mut out, &self.0)?;
        log(&mut out, &self.0.log)?;
        retention(&mut out, &self.0.retention)?;
        signalling(&mut out, &self.0)?;
        connections(&mut out, &self.0)?;
        self.0.carriers.encode(&mut out)?;
        self.0.queues.encode(&mut out)?;
        traffic(&mut out, &self.0.workers)?;
        timing(&mut out, &self.0.workers)?;
        stages::encode(&mut out, &self.0.workers)
    }
}

fn server(out: &mut Out<'_>, metrics: &Metrics) -> Result<(), Error> {
    let labels = [("version", env!("CARGO_PKG_VERSION"))];
    out.gauges("talkpath_build_info", "Version of the running binary", [(labels, 1.0)])?;
    let started = [(NONE, metrics.started_unix_s)];
    out.gauges("process_start_time_seconds", "Start of the process since 1970", started)?;
    let process = Process::read();
    if let Some(cpu_s) = process.cpu_s {
        out.float_counter("process_cpu_seconds", "User and system time of the process", cpu_s)?;
    }
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory of the process in RAM", process.resident_bytes),
        ("process_open_fds", "File descriptors in use", process.open_fds),
        ("process_max_fds", "File descriptors allowed", process.max_fds),
    ] {
        if let Some(value) = value {
            out.gauges(name, help, [(NONE, value as f64)])?;
        }
    }
    Ok(())
}

fn calls(out: &mut Out<'_>, metrics: &Metrics) -> Result<(), Error> {
    let calls = &metrics.calls;
    let by_direction = |value: &dyn Fn(CallDirection) -> u64| -> Vec<_> {
        let directions = CallDirection::ALL.iter();
        directions.map(|d| ([("direction", d.as_str())], value(*d))).collect()
    };
    out.counters(
        "talkpath_calls_started",
        "Calls that came or were placed",
        by_direction(&|direction| calls.started_total(direction)),
    )?;
    out.counters(
        "talkpath_calls_answered",
        "Calls that were answered",
        by_direction(&|direction| calls.answered_total(direction)),
    )?;
    out.counters(
        "talkpath_calls_shed",
        "Calls that were refused as the media threads bear no more",
        by_direction(&|direction| calls.shed_total(direction)),
    )?;
    out.counters(
        "talkpath_calls_ended",
        "Calls that ended, by cause",
        calls.ended_totals().map(|(direction, cause, count)| {
            ([("direction", direction.as_str()), ("cause", cause)], count)
        }),
    )?;
    out.gauges(
        "talkpath_calls_active",
        "Calls that exist now",
        CallDirection::ALL
            .iter()
            .map(|d| ([("direction", d.as_str())], calls.active_by(*d) as f64)),
    )?;
    out.histograms(
        "talkpath_call_setup_seconds",
        "From the INVITE to its 200",
        CallDirection::ALL
            .iter()
            .map(|d| ([("direction", d.as_str())], calls.setup[d.index()].snapshot())),
    )?;
    out.histograms(
        "talkpath_call_first_audio_seconds",
        "From the answer to the agent's first audio on the wire",
        [(NONE, calls.first_audio.snapshot())],
    )?;
    out.histograms(
        "talkpath_call_duration_seconds",
        "From the answer to the end",
        [(NONE, calls.duration.snapshot())],
    )
}

fn log(out: &mut Out<'_>, log: &LogMetrics) -> Result<(), Error> {
    for (name, help, counter) in [
        ("talkpath_log_facts", "Facts about calls that were committed", &log.facts),
        ("talkpath_log_lost", "Facts and samples for which there was no room", &log.lost),
        ("talkpath_log_failed", "Commits of facts that failed and were tried again", &log.failed),
    ] {
        out.counters(name, help, [(NONE, counter.get())])?;
    }
    out.histograms(
        "talkpath_log_commit_seconds",
        "How long a commit of facts took",
        [(NONE, log.commit.snapshot())],
    )
}

fn retention(out: &mut Out<'_>, retention: &RetentionMetrics) -> Result<(), Error> {
    let removed = Forgotten::ALL.iter().zip(&retention.removed);
    out.counters(
        "talkpath_retention_removed",
        "What was forgotten because it was old",
        removed.map(|(what, count)| ([("what", what.as_str())], count.get())),
    )?;
    out.counters(
        "talkpath_retention_failed",
        "Attempts to forget what is old that failed",
        [(NONE, retention.failed.get())],
    )
}

fn signalling(out: &mut Out<'_>, metrics: &Metrics) -> Result<(), Error> {
    let sip = &metrics.sip;
    fn methods(
        counters: &[Counter],
    ) -> impl Iterator<Item = ([(&'static str, &'static str); 1], u64)> {
        SipMethod::ALL.iter().zip(counters).map(|(m, c)| ([("method", m.as_str())], c.get()))
    }
    fn classes(
        counters: &[Counter],
    ) -> impl Iterator<Item = ([(&'static str, &'static str); 1], u64)> {
        StatusClass::ALL.iter().zip(counters).map(|(s, c)| ([("status", s.as_str())], c.get()))
    }
    out.counters("talkpath_sip_requests_in", "SIP requests that came", methods(&sip.requests_in))?;
    out.counters(
        "talkpath_sip_requests_out",
        "SIP requests that left",
        methods(&sip.requests_out),
    )?;
    out.counters(
        "talkpath_sip_responses_in",
        "SIP responses that came",
        classes(&sip.responses_in),
    )?;
    out.counters(
        "talkpath_sip_responses_out",
        "SIP responses that left",
        classes(&sip.responses_out),
    )?;
    let auth = SipAuth::ALL.iter().zip(&sip.auth);
    out.counters(
        "talkpath_sip_auth",
        "SIP requests by what their credentials proved",
        auth.map(|(outcome, count)| ([("outcome", outcome.as_str())], count.get())),
    )?;
    let drops = SipDrop::ALL.iter().zip(&sip.drops);
    out.counters(
        "talkpath_sip_drops",
        "SIP messages thrown away, by reason",
        drops.map(|(reason, count)| ([("reason", reason.as_str())], count.get())),
    )?;
    out.counters(
        "talkpath_sip_retransmissions",
        "SIP messages sent again for want of an answer",
        [(NONE, sip.retransmissions.get())],
    )?;
    reach(out, metrics)
}

/// Who can reach us, and whom we can reach.
fn reach(out: &mut Out<'_>, metrics: &Metrics) -> Result<(), Error> {
    let sip = &metrics.sip;
    let registrations =
        sip.registrations.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let trunk = |name: &String| [("trunk", name.clone())];
    out.gauges(
        "talkpath_sip_registered",
        "Whether we are registered, by trunk",
        registrations.iter().map(|(name, entry)| (trunk(name), f64::from(u8::from(entry.0)))),
    )?;
    out.counters(
        "talkpath_sip_registration_failures",
        "Registrations that failed, by trunk",
        registrations.iter().map(|(name, entry)| (trunk(name), entry.1)),
    )?;
    out.gauges(
        "talkpath_sip_bindings",
        "Contacts of telephones that are registered now",
        [(NONE, sip.bindings.get() as f64)],
    )?;
    out.gauges(
        "talkpath_sip_connections",
        "SIP connections that exist now",
        [(NONE, sip.connections.get() as f64)],
    )?;
    let trunks = sip.trunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let up = |(name, up): (&String, &bool)| (trunk(name), f64::from(u8::from(*up)));
    out.gauges(
        "talkpath_sip_trunk_up",
        "Whether calls can be placed through the trunk",
        trunks.iter().map(up),
    )
}

fn connections(out: &mut Out<'_>, metrics: &Metrics) -> Result<(), Error> {
    let (agents, http) = (&metrics.agents, &metrics.http);
    let dials = DialOutcome::ALL.iter().zip(&agents.dials);
    out.counters(
        "talkpath_agent_dials",
        "Attempts to connect an agent, by outcome",
        dials.map(|(outcome, count)| ([("outcome", outcome.as_str())], count.get())),
    )?;
    out.counters(
        "talkpath_agent_attaches",
        "Agents that attached by themselves",
        [(NONE, agents.attached.get())],
    )?;
    out.gauges(
        "talkpath_agent_connections",
        "Connections to agents that exist now",
        [(NONE, agents.connections.get() as f64)],
    )?;
    out.histograms(
        "talkpath_agent_connect_seconds",
        "From the first packet of a dial to the end of its handshake",
        [(NONE, agents.connect.snapshot())],
    )?;
    super::links::links(out, &metrics.links)?;
    let (recordings, listening) = (&metrics.recordings, &metrics.listening);
    for (name, help, counter) in [
        ("talkpath_recordings_started", "Recordings that began", &recordings.started),
        ("talkpath_recordings_failed", "Recordings that were not written", &recordings.failed),
        ("talkpath_recording_frames_lost", "Frames a disk was too slow for", &recordings.lost),
        ("talkpath_voicemails_left", "Messages callers have left", &recordings.messages),
        ("talkpath_voicemails_empty", "Callers who left none", &recordings.messages_empty),
        ("talkpath_listeners_started", "People who listened in on a call", &listening.started),
        ("talkpath_listener_frames_lost", "Frames a listener was too slow for", &listening.lost),
    ] {
        out.counters(name, help, [(NONE, counter.get())])?;
    }
    let responses = StatusClass::ALL.iter().zip(&http.responses);
    out.counters(
        "talkpath_http_responses",
        "HTTP responses, by class of status",
        responses.map(|(class, count)| ([("status", class.as_str())], count.get())),
    )?;
    out.gauges(
        "talkpath_http_connections",
        "HTTP connections that exist now",
        [(NONE, http.connections.get() as f64)],
    )?;
    out.histograms(
        "talkpath_http_response_seconds",
        "From the head of an HTTP request to the head of its response",
        [(NONE, http.response_time.snapshot())],
    )
}

fn traffic(out: &mut Out<'_>, workers: &[Arc<WorkerMetrics>]) -> Result<(), Error> {
    type ReadKind = fn(&WorkerMetrics, Kind) -> u64;
    type Read = fn(&WorkerMetrics) -> u64;
    let by_kind: [(&str, &str, ReadKind); 4] = [
        ("talkpath_packets_in", "Packets and messages that came", |w, k| w.received_total(k).0),
        ("talkpath_received_bytes", "Bytes of those that came", |w, k| w.received_total(k).1),
        ("talkpath_packets_out", "Packets and messages that left", |w, k| w.sent_total(k).0),
        ("talkpath_sent_bytes", "Bytes of those that left", |w, k| w.sent_total(k).1),
    ];
    let names = Names::new(workers.len());
    for (name, help, read) in by_kind {
        let rows = workers.iter().zip(&names.0).flat_map(|(worker, number)| {
            Kind::ALL.iter().map(move |kind| {
                ([("worker", number.as_str()), ("kind", kind.as_str())], read(worker, *kind))
            })
        });
        out.counters(name, help, rows)?;
    }
    let drops = workers.iter().zip(&names.0).flat_map(|(worker, number)| {
        DropReason::ALL.iter().map(move |reason| {
            let labels = [("worker", number.as_str()), ("reason", reason.as_str())];
            (labels, worker.dropped_total(*reason))
        })
    });
    out.counters("talkpath_drops", "Packets and messages dropped, by reason", drops)?;
    let silences = Way::ALL.into_iter().flat_map(|way| {
        Reason::ALL.iter().map(move |reason| {
            let labels = [("direction", way.as_str()), ("reason", reason.as_str())];
            let total = workers.iter().map(|worker| worker.silent_total(way, *reason)).sum();
            (labels, total)
        })
    });
    out.counters(
        "talkpath_call_silence",
        "Times that a direction of a call carried no sound, by reason",
        silences,
    )?;
    let single: [(&str, &str, Read); 4] = [
        ("talkpath_rtp_lost", "RTP packets that never came", |w| w.lost.get()),
        ("talkpath_underruns", "Times an agent fell silent in mid-utterance", |w| {
            w.underruns.get()
        }),
        ("talkpath_frames_late", "Frames that left a whole frame late", |w| w.late.get()),
        ("talkpath_worker_wakeups", "Times a worker woke up", |w| w.wakeups.get()),
    ];
    for (name, help, read) in single {
        let rows = workers.iter().zip(&names.0);
        out.counters(name, help, rows.map(|(w, n)| ([("worker", n.as_str())], read(w))))?;
    }
    stages::encode_load(out, workers)
}

fn timing(out: &mut Out<'_>, workers: &[Arc<WorkerMetrics>]) -> Result<(), Error> {
    type Read = fn(&WorkerMetrics) -> Snapshot;
    let histograms: [(&str, &str, Read); 6] = [
        ("talkpath_frame_lateness_seconds", "When frames left, after they were due", |worker| {
            worker.lateness.snapshot()
        }),
        ("talkpath_frame_added_seconds", "Time that frames spent here", |worker| {
            worker.added.snapshot()
        }),
        ("talkpath_agent_round_trip_seconds", "From an agent's ping to its pong", |worker| {
            worker.agent_round_trip.snapshot()
        }),
        ("talkpath_rtp_round_trip_seconds", "Round trip to peers by their reports", |worker| {
            worker.peer_round_trip.snapshot()
        }),
        ("talkpath_rtp_jitter_seconds", "Interarrival jitter of peers, once a report", |worker| {
            worker.jitter.snapshot()
        }),
        ("talkpath_turn_seconds", "From the end of a caller's words to the answer", |worker| {
            worker.turns.snapshot()
        }),
    ];
    let names = Names::new(workers.len());
    for (name, help, read) in histograms {
        let rows = workers.iter().zip(&names.0);
        let rows = rows.map(|(worker, n)| ([("worker", n.as_str())], read(worker)));
        out.histograms(name, help, rows)?;
    }
    Ok(())
}

/// Numbers of workers as text.
pub(super) struct Names(pub(super) Vec<String>);

impl Names {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|number| number.to_string()).collect())
    }
}

pub(super) const NONE: [(&str, &str); 0] = [];

/// Writes whole families.
pub(super) struct Out<'e>(DescriptorEncoder<'e>);

impl Out<'_> {
    pub(super) fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, u64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn float_counter(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    pub(super) fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, f64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    pub(super) fn histograms<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, Snapshot)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, snapshot) in rows {
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                snapshot.sum_s,
                snapshot.count,
                &snapshot.buckets,
                None,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample() -> String {
        let metrics = Metrics::new(2, &["normal", "internal"], ["carrier".to_owned()]);
        metrics.calls.started(CallDirection::Inbound);
        metrics.calls.started(CallDirection::Outbound);
        metrics.calls.answered(CallDirection::Inbound, Duration::from_millis(3));
        metrics.calls.ended(CallDirection::Inbound, "normal");
        metrics.calls.ended(CallDirection::Outbound, "no such word");
        metrics.calls.started(CallDirection::Inbound);
        metrics.sip.request_in(SipMethod::Invite);
        metrics.sip.response_out(200);
        metrics.workers[1].received(Kind::Rtp, 172);
        metrics.workers[1].dropped(DropReason::Foreign);
        metrics.workers[1].lateness.record(Duration::from_micros(80));
        metrics.render()
    }

    /// What was counted is in the text, under its name and labels.
    #[test]
    fn counted_is_shown() {
        let text = sample();
        for line in [
            "talkpath_calls_started_total{direction=\"inbound\"} 2",
            "talkpath_calls_answered_total{direction=\"inbound\"} 1",
            "talkpath_calls_ended_total{direction=\"inbound\",cause=\"normal\"} 1",
            "talkpath_calls_ended_total{direction=\"outbound\",cause=\"internal\"} 1",
            "talkpath_calls_active{direction=\"inbound\"} 1.0",
            "talkpath_calls_active{direction=\"outbound\"} 0.0",
            "talkpath_call_setup_seconds_bucket{le=\"0.005\",direction=\"inbound\"} 1",
            "talkpath_sip_requests_in_total{method=\"invite\"} 1",
            "talkpath_sip_responses_out_total{status=\"2xx\"} 1",
            "talkpath_packets_in_total{worker=\"1\",kind=\"rtp\"} 1",
            "talkpath_packets_in_total{worker=\"0\",kind=\"rtp\"} 0",
            "talkpath_received_bytes_total{worker=\"1\",kind=\"rtp\"} 172",
            "talkpath_drops_total{worker=\"1\",reason=\"foreign\"} 1",
            "talkpath_frame_lateness_seconds_bucket{le=\"+Inf\",worker=\"1\"} 1",
            "talkpath_frame_lateness_seconds_bucket{le=\"0.00005\",worker=\"1\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    /// Every name keeps to the pattern, and no family or series occurs twice.
    #[test]
    fn names_keep_to_the_pattern() {
        let text = sample();
        let mut seen = std::collections::HashSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(name.starts_with("talkpath_") || name.starts_with("process_"), "{name}");
                assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            } else if !line.starts_with('#') {
                assert!(seen.insert(line.rsplit_once(' ').unwrap().0.to_owned()), "{line}");
            }
        }
        assert!(seen.len() > 100);
    }
}
