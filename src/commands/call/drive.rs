//! One call, from INVITE to BYE, on the parts that the server is made of.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adapters::agent::{CallState, EndedBy};
use media::codec::AudioFormat;
use media::stats::LegSnapshot;
use media::time::MonoTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{CallError, Target};
use crate::calls::cause::Cause;
use crate::calls::control::leg_format;
use crate::calls::ports;
use crate::commands::chirp;
use crate::outward::Outward;
use crate::sip::core::endpoint::{
    DialogId, Endpoint, EndpointConfig, Event, Flow, InviteParams, Reliability, Transport,
};
use crate::sip::core::offer_answer::{self, LocalMedia, LocalSrtp};
use crate::sip::core::sdp::Direction;
use crate::sip::endpoint::sockets::{Listen, Ready, Sockets};
use crate::sip::endpoint::streams::StreamEvent;
use crate::telemetry::WorkerMetrics;
use crate::workers::audio;
use crate::workers::builtin::{Builtin, Source};
use crate::workers::command::{AgentLink, CallKey, Command, EVENTS_MAX, EventKind, RtpSockets};
use crate::workers::line::PeerLink;
use crate::workers::poller::now;
use crate::workers::tape::{self, TapeOutput, Timeline};
use crate::workers::{Care, WorkerHandle};

/// How long the call goes on after its file has been played, for what is still on its way.
const TAIL: Duration = Duration::from_millis(500);
/// How often what was heard is taken from the worker.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// After how long it is told that nothing has come from the peer.
const PATIENCE: Duration = Duration::from_secs(2);
/// RTP ports tried: any even one above the well-known range.
const RTP_PORTS: std::ops::Range<u16> = 16_384..32_768;
const KEY: CallKey = CallKey(1);
/// How long the called party may send nothing before the call is given up.
const CARE: Care = Care { media_timeout: Some(Duration::from_secs(60)), quality_every: None };

/// How a call fared.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Somebody answered.
    pub(super) answered: bool,
    /// Status and reason of the refusal.
    pub(super) refused: Option<(u16, String)>,
    /// From INVITE to 180.
    pub(super) ringing: Option<Duration>,
    /// From INVITE to 200.
    pub(super) set_up: Option<Duration>,
    /// From the answer to the end.
    pub(super) lasted: Duration,
    /// From a sound to its return, in samples.
    pub(super) delays: Vec<i64>,
    /// From the answer to the first packet of the peer.
    pub(super) first_audio: Option<Duration>,
    /// The media's figures.
    pub(super) leg: LegSnapshot,
}

/// What was heard, as it arrived.
struct Heard {
    tape: TapeOutput,
    timeline: Timeline,
    samples: Vec<i16>,
    first_at: Option<MonoTime>,
}

/// The call under way.
struct Drive {
    endpoint: Endpoint,
    sockets: Sockets,
    dialog: DialogId,
    media: LocalMedia,
    worker: WorkerHandle,
    sound: Sound,
    heard: Option<Heard>,
    invited: MonoTime,
    /// Whom nothing has come from yet.
    awaited: Option<SocketAddr>,
    answered: Option<MonoTime>,
    end_at: MonoTime,
    over: bool,
    outcome: Outcome,
}

/// What is said.
struct Sound {
    samples: usize,
    chirps: bool,
    file: Option<std::path::PathBuf>,
    seconds: Option<Duration>,
}

/// What this end has to offer.
fn offered(address: IpAddr, port: u16) -> LocalMedia {
    LocalMedia {
        address,
        port,
        codecs: vec![AudioFormat::PCMU, AudioFormat::PCMA],
        telephone_event: true,
        comfort_noise: false,
        ptime_ms: 20,
        direction: Direction::SendRecv,
        rtcp_mux: true,
        xr: false,
        srtp: LocalSrtp::default(),
        session_id: now().as_nanos() >> 10,
        session_version: 1,
    }
}

/// Places the call and sees it through.
pub(super) async fn call(
    target: Target,
    play: Option<&Path>,
    record: Option<&Path>,
    seconds: Option<Duration>,
) -> Result<Outcome, CallError> {
    let (events, mut worker_events) = mpsc::channel(EVENTS_MAX);
    let metrics = Arc::new(WorkerMetrics::default());
    let worker = WorkerHandle::start(0, metrics, events, CARE)?;
    let sockets = rtp_sockets(target.local)?;
    let media = offered(target.local, sockets.rtp.local_addr()?.port());
    let listen = [Transport::Udp, Transport::Tcp].map(|transport| Listen {
        transport,
        address: SocketAddr::new(target.local, 0),
        advertised: None,
    });
    let mut sip = Sockets::bind(&listen, None, &[])?;
    let flow = sip
        .path(target.transport, target.peer, target.dial)
        .ok_or_else(|| std::io::Error::other("no way to the peer by this transport"))?;
    let config = EndpointConfig {
        user_agent: concat!("talkpath/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..EndpointConfig::default()
    };
    let mut endpoint = Endpoint::new(config, fastrand::u64(..));
    endpoint.set_locals(sip.locals().to_vec());
    endpoint.handle_connected(flow.connection);
    let (invited, awaited) = (now(), Some(target.peer));
    let params = InviteParams {
        from: format!("<sip:talkpath@{}>", super::host_text(target.local)),
        to: format!("<{}>", target.uri),
        uri: target.uri,
        flow,
        contact_user: None,
        sdp: Some(offer_answer::build_offer(&media)),
        reliability: Reliability::default(),
        headers: Vec::new(),
    };
    let dialog = endpoint.invite(invited, params)?;
    worker.send(Command::Open { call: KEY, peer: PeerLink::Rtp { sockets, format: None } });
    let sound =
        Sound { samples: 0, chirps: play.is_none(), file: play.map(Path::to_owned), seconds };
    let mut drive = Drive {
        endpoint,
        sockets: sip,
        dialog,
        media,
        worker,
        sound,
        heard: None,
        invited,
        awaited,
        answered: None,
        end_at: MonoTime::MAX,
        over: false,
        outcome: Outcome::default(),
    };
    drive.run(&mut worker_events).await?;
    if let Some(path) = record {
        drive.write(path)?;
    }
    Ok(drive.outcome)
}

impl Drive {
    async fn run(
        &mut self,
        worker_events: &mut mpsc::Receiver<crate::workers::command::Event>,
    ) -> Result<(), CallError> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut interrupted = false;
        loop {
            self.turn()?;
            if self.over {
                break;
            }
            let due = self.endpoint.deadline().unwrap_or(MonoTime::MAX).min(self.end_at);
            let due = due.min(now() + Duration::from_secs(3_600)).since(now());
            tokio::select! {
                ready = self.sockets.ready() => self.arrived(ready),
                Some(event) = worker_events.recv() => {
                    if matches!(event.kind, EventKind::Played) {
                        self.end_at = now() + TAIL;
                    }
                }
                _ = look.tick() => {}
                _ = interrupt.recv() => {
                    self.hang_up();
                    // The second time, without waiting for what the peer says to it.
                    self.over |= std::mem::replace(&mut interrupted, true);
                }
                () = tokio::time::sleep(due) => {}
            }
        }
        self.finish(worker_events).await
    }

    fn turn(&mut self) -> Result<(), CallError> {
        let at = now();
        if self.end_at <= at {
            self.hang_up();
        }
        if at.since(self.invited) >= PATIENCE
            && let Some(peer) = self.awaited.take()
        {
            let waited = PATIENCE.as_secs();
            eprintln!("nothing came from {peer} in {waited} s: is a server there? It is asked on.");
        }
        if self.endpoint.deadline().is_some_and(|due| due <= at) {
            self.endpoint.handle_timeout(at);
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.event(event)?;
        }
        self.transmit();
        if let Some(heard) = &mut self.heard {
            heard.take();
        }
        Ok(())
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            if let Err(flow) = self.sockets.send(transmit) {
                self.endpoint.handle_closed(now(), flow.connection);
                self.endpoint.handle_unreachable(now(), Flow { connection: 0, ..flow });
            }
        }
    }

    fn arrived(&mut self, ready: Ready) {
        match ready {
            Ready::Datagrams(socket) => {
                while let Some((flow, data)) = self.sockets.datagram(socket) {
                    self.awaited = None;
                    self.endpoint.handle_datagram(now(), flow, data);
                }
            }
            Ready::Stream(event) => self.stream_event(event),
        }
    }

    fn stream_event(&mut self, event: StreamEvent) {
        let streams = self.sockets.streams();
        match event {
            StreamEvent::Accepted(accepted) => streams.accepted(accepted),
            StreamEvent::Message { connection, message } => {
                let Some(flow) = streams.flow(connection) else { return };
                self.awaited = None;
                self.endpoint.handle_connected(connection);
                self.endpoint.handle_message(now(), flow, message);
            }
            StreamEvent::Closed { connection } => {
                let flow = streams.closed(connection);
                self.endpoint.handle_closed(now(), connection);
                if let Some(flow) = flow {
                    let flow = Flow { connection: 0, ..flow };
                    self.endpoint.handle_unreachable(now(), flow);
                }
            }
        }
    }

    fn event(&mut self, event: Event) -> Result<(), CallError> {
        let at = now();
        match event {
            Event::Ringing { .. } => {
                self.outcome.ringing.get_or_insert(at.since(self.invited));
            }
            Event::Answered { sdp, .. } => {
                self.outcome.set_up = Some(at.since(self.invited));
                self.outcome.answered = true;
                let Some(sdp) = sdp else { return Ok(()) };
                let negotiated = offer_answer::accept_answer(&self.media, &sdp)?;
                let format = leg_format(&negotiated, negotiated.remote.ip(), &Outward::Anywhere);
                self.worker.send(Command::Format { call: KEY, format });
                self.speak(negotiated.codec)?;
            }
            Event::Failed { status, reason, .. } => {
                self.outcome.refused = Some((status, reason.into()));
                self.over = true;
            }
            Event::Reinvite { dialog, offer: Some(offer) } => {
                self.media.session_version += 1;
                if let Ok(answer) = offer_answer::answer(&offer, &self.media) {
                    self.endpoint.accept_reinvite(at, dialog, &answer.sdp)?;
                    let format = leg_format(
                        &answer.selected,
                        answer.selected.remote.ip(),
                        &Outward::Anywhere,
                    );
                    self.worker.send(Command::Format { call: KEY, format });
                } else {
                    self.endpoint.reject_reinvite(at, dialog, 488, "Not Acceptable Here", &[])?;
                }
            }
            Event::Ended { .. } | Event::Cancelled { .. } => self.over = true,
            _ => {}
        }
        Ok(())
    }

    /// The call is up: say what is to be said, keep what is heard.
    fn speak(&mut self, format: AudioFormat) -> Result<(), CallError> {
        let (sound, samples) = match &self.sound.file {
            Some(path) => {
                let sound = audio::load(path, format)?;
                let samples = sound.len();
                (Source::Once(sound), samples)
            }
            None => {
                let seconds = self.sound.seconds.map_or(60, |seconds| seconds.as_secs() + 1);
                let samples = chirp::sound(seconds);
                let sound = audio::encode(&samples, chirp::RATE_HZ, format);
                (Source::Once(sound.into()), samples.len())
            }
        };
        self.sound.samples = samples;
        let (input, output) = tape::tape();
        self.heard = Some(Heard {
            tape: output,
            timeline: Timeline::new(tape::FORMAT),
            samples: Vec::new(),
            first_at: None,
        });
        let hangs_up = self.sound.file.is_some();
        let link = AgentLink::Builtin(Builtin::speaker(sound, hangs_up).with_tape(input));
        self.worker.send(Command::Attach { call: KEY, link });
        self.worker.send(Command::State { call: KEY, state: CallState::Answered });
        let at = now();
        self.answered = Some(at);
        if let Some(seconds) = self.sound.seconds {
            self.end_at = at + seconds;
        }
        Ok(())
    }

    fn hang_up(&mut self) {
        self.end_at = MonoTime::MAX;
        let at = now();
        let ended = match self.answered {
            Some(_) => self.endpoint.bye(at, self.dialog, &[]),
            None => self.endpoint.cancel(at, self.dialog, &[]),
        };
        // Whatever the peer answers, our part is over.
        self.over |= self.answered.is_some() || ended.is_err();
    }

    /// Closes media, gives the goodbye its time, and adds up.
    async fn finish(
        &mut self,
        worker_events: &mut mpsc::Receiver<crate::workers::command::Event>,
    ) -> Result<(), CallError> {
        self.outcome.lasted = self.answered.map(|at| now().since(at)).unwrap_or_default();
        let close = Command::Close { call: KEY, cause: Cause::Normal, by: EndedBy::Agent };
        self.worker.send(close);
        while let Some(event) = worker_events.recv().await {
            if let EventKind::Closed(report) = event.kind {
                self.outcome.leg = report.leg;
                break;
            }
        }
        let until = now() + GOODBYE;
        while self.endpoint.calls() > 0 && now() < until {
            self.transmit();
            let wait = self.endpoint.deadline().unwrap_or(until).min(until).since(now());
            tokio::select! {
                ready = self.sockets.ready() => self.arrived(ready),
                () = tokio::time::sleep(wait) => self.endpoint.handle_timeout(now()),
            }
            while self.endpoint.poll_event().is_some() {}
        }
        self.transmit();
        let Some(heard) = &mut self.heard else { return Ok(()) };
        heard.take();
        if let (Some(answered), Some(first)) = (self.answered, heard.first_at) {
            self.outcome.first_audio = Some(first.since(answered));
            if self.sound.chirps {
                let ahead =
                    first.since(answered).as_nanos() * u128::from(chirp::RATE_HZ) / 1_000_000_000;
                let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
                self.outcome.delays = chirp::delays(&heard.samples, self.sound.samples, ahead);
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path) -> Result<(), CallError> {
        let failed = |source| CallError::Record { path: path.display().to_string(), source };
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: chirp::RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::create(path, spec).map_err(failed)?;
        for sample in self.heard.iter().flat_map(|heard| &heard.samples) {
            file.write_sample(*sample).map_err(failed)?;
        }
        file.finalize().map_err(failed)
    }
}

impl Heard {
    fn take(&mut self) {
        let Self { tape, timeline, samples, first_at } = self;
        tape.drain(|meta, payload| {
            first_at.get_or_insert(meta.at);
            timeline.place(meta.ts, payload, |sample| samples.push(sample));
        });
    }
}

/// A free pair of ports.
fn rtp_sockets(local: IpAddr) -> Result<RtpSockets, CallError> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    for _ in 0..64 {
        let port = fastrand::u16(RTP_PORTS) & !1;
        let pair = ports::bind(SocketAddr::new(local, port))
            .and_then(|rtp| Ok((rtp, ports::bind(SocketAddr::new(local, port + 1))?)));
        match pair {
            Ok((rtp, rtcp)) => return Ok(RtpSockets { rtp, rtcp }),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}
