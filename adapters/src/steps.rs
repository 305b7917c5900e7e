//! Transfers in steps, for carriers that ask at an address what becomes of a leg: the address of
//! the hook `transfer` says which step it is, and of which call.
//!
//! | step | who asks or tells | what follows |
//! |---|---|---|
//! | `dial` | the caller of a blind transfer, sent here | the destination is called and connected |
//! | `dialled` | the caller, once that is over | the end, or the way back to the agent |
//! | `rings`, `ended` | the destination of an attended transfer | nothing |
//! | `destination` | the destination, once it answered | the room |
//! | `caller` | the caller, sent here | the room |

use crate::address::Address;
use crate::event::{CallFact, CarrierCallId, Meaning, TransferState};
use crate::exchange::escape;
use crate::form_hooks::{Fields, fact, in_address, maybe, text};
use crate::hook::{Handled, HookError, HookReply, HookRequest, HookUrls};
use crate::op::Transfer;

/// The hook that the steps come to.
const HOOK: &str = "transfer";

/// The documents that steps are answered by, in the carrier's language.
#[derive(Debug)]
pub(crate) struct Documents {
    /// Calls somebody and connects them.
    pub(crate) dial: fn(&Dial<'_>) -> HookReply,
    /// Puts a leg into a room of that name.
    pub(crate) room: fn(&str) -> HookReply,
    /// Ends a leg.
    pub(crate) hangup: fn() -> HookReply,
}

/// Somebody to be called in the place of the agent.
#[derive(Debug)]
pub(crate) struct Dial<'a> {
    /// Whom.
    pub(crate) to: &'a Address,
    /// The calling number.
    pub(crate) from: Option<&'a str>,
    /// Seconds of ringing.
    pub(crate) ring_s: &'a str,
    /// Where the carrier asks when that is over.
    pub(crate) action: &'a str,
    /// Where it tells how it goes.
    pub(crate) events: &'a str,
}

fn url(hooks: &HookUrls, pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", escape(value)));
    format!("{}?{}", hooks.url(HOOK), pairs.collect::<Vec<_>>().join("&"))
}

/// The room in which caller and destination of an attended transfer meet.
fn room(call: &CarrierCallId) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let id: String = call.0.chars().filter(plain).collect();
    format!("transfer-{id}")
}

fn digits(address: &Address) -> &str {
    address.digits().unwrap_or(address.expose())
}

/// Where the caller of a blind transfer is sent.
pub(crate) fn blind(transfer: &Transfer, ring_s: u32) -> String {
    let Transfer { call, to, from, hooks, .. } = transfer;
    let ring_s = ring_s.to_string();
    let mut pairs =
        vec![("step", "dial"), ("call", &*call.0), ("to", to.expose()), ("ring", &ring_s)];
    pairs.extend(from.as_ref().map(|from| ("from", digits(from))));
    url(hooks, &pairs)
}

/// What the destination of an attended transfer is called with.
#[derive(Debug)]
pub(crate) struct Consultation {
    /// Where it is asked what to do with it, once it answered.
    pub(crate) answer: String,
    /// Where it is told that it rings.
    pub(crate) rings: String,
    /// Where its end is told.
    pub(crate) ended: String,
}

impl Consultation {
    /// That of a transfer.
    pub(crate) fn of(transfer: &Transfer) -> Self {
        let Transfer { call, hooks, .. } = transfer;
        let step = |name| [("step", name), ("call", &*call.0)];
        let [first, second] = step("destination");
        Self {
            answer: url(hooks, &[first, second, ("room", &*room(call))]),
            rings: url(hooks, &step("rings")),
            ended: url(hooks, &step("ended")),
        }
    }
}

/// Where the caller of an attended transfer is sent, once the destination answered.
pub(crate) fn joined(transfer: &Transfer) -> String {
    let Transfer { call, hooks, .. } = transfer;
    url(hooks, &[("step", "caller"), ("call", &*call.0), ("room", &*room(call))])
}

/// Understands a step, of which `fields` came with the request.
pub(crate) fn handle(
    request: &HookRequest<'_>,
    fields: &Fields,
    documents: &Documents,
) -> Result<Handled, HookError> {
    let ours = in_address(request);
    let caller = CarrierCallId(text(&ours, "call")?.to_owned());
    let step = text(&ours, "step")?;
    let state = |state| {
        let id = format!("transfer:{step}:{}", maybe(fields, "CallUUID"));
        vec![fact(caller.clone(), &id, CallFact::Transfer { state })]
    };
    let room = || text(&ours, "room").map(documents.room);
    let (events, reply) = match step {
        "dial" => (state(TransferState::Trying), dial(request, &ours, documents)?),
        "dialled" if maybe(fields, "DialStatus") == "completed" => {
            (state(TransferState::Done), (documents.hangup)())
        }
        // Nobody was reached: the caller comes back.
        "dialled" => {
            let meaning =
                Meaning::Asked { call: caller.clone(), events: state(TransferState::Failed) };
            return Ok(Handled { meaning, reply: (documents.hangup)() });
        }
        "rings" => (state(TransferState::Trying), HookReply::NO_CONTENT),
        "destination" => (state(TransferState::Answered), room()?),
        "caller" => (state(TransferState::Done), room()?),
        "ended" if was_talked_with(fields) => (Vec::new(), HookReply::NO_CONTENT),
        "ended" => (state(TransferState::Failed), HookReply::NO_CONTENT),
        _ => return Err(HookError::Field("step")),
    };
    Ok(Handled { meaning: Meaning::Events(events), reply })
}

/// True if the leg that ended was answered once. Some have "completed" as the status of every end.
fn was_talked_with(fields: &Fields) -> bool {
    let never = maybe(fields, "AnswerTime").is_empty() && maybe(fields, "Duration") == "0";
    maybe(fields, "CallStatus") == "completed" && !never
}

fn dial(
    request: &HookRequest<'_>,
    ours: &Fields,
    documents: &Documents,
) -> Result<HookReply, HookError> {
    let to = Address::parse(text(ours, "to")?, None).map_err(|_| HookError::Field("to"))?;
    let here = request.url.split('?').next().unwrap_or_default();
    // The carrier comes back to this hook, and tells how it goes at its sibling.
    let action = format!("{here}?step=dialled&call={}", escape(text(ours, "call")?));
    let events = here.replacen("/transfer/", "/status/", 1);
    let (from, ring_s) = (text(ours, "from").ok(), text(ours, "ring")?);
    Ok((documents.dial)(&Dial { to: &to, from, ring_s, action: &action, events: &events }))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::op::TransferKind;

    static DOCUMENTS: Documents = Documents {
        dial: |dial| HookReply::document("text/plain", format!("{} {}", dial.action, dial.events)),
        room: |name| HookReply::document("text/plain", name.to_owned()),
        hangup: || HookReply::NO_CONTENT,
    };

    fn transfer(kind: TransferKind) -> Transfer {
        Transfer {
            kind,
            call: CarrierCallId("c&1".to_owned()),
            to: Address::parse("sip:bob@example.com", None).unwrap(),
            from: Address::parse("+15551234567", None).ok(),
            hooks: HookUrls::new("https://t.example", "p", "tok"),
            ring_timeout_s: 20,
        }
    }

    fn step(url: &str, body: &str) -> Result<Handled, HookError> {
        let (method, headers) = (&Method::POST, &HeaderMap::new());
        let request = HookRequest { method, url, headers, body: body.as_bytes(), unix_s: 0 };
        handle(&request, &crate::form_hooks::fields(&request), &DOCUMENTS)
    }

    fn state(handled: &Handled) -> Option<TransferState> {
        let (Meaning::Events(events) | Meaning::Asked { events, .. }) = &handled.meaning else {
            return None;
        };
        events.iter().find_map(|event| match event.what {
            CallFact::Transfer { state } if event.call.0 == "c&1" => Some(state),
            _ => None,
        })
    }

    /// Each address leads to its step, and says of the right call how far the transfer is, whatever
    /// stands in its id.
    #[test]
    fn addresses_lead_to_their_steps() {
        let sent = step(&blind(&transfer(TransferKind::Blind), 20), "CallUUID=c").unwrap();
        assert_eq!(state(&sent), Some(TransferState::Trying));
        let said = String::from_utf8(sent.reply.body.to_vec()).unwrap();
        let (action, events) = said.split_once(' ').unwrap();
        assert!(events.ends_with("/p/status/tok"), "{events}");
        let over = step(action, "CallUUID=c&DialStatus=completed").unwrap();
        assert_eq!(state(&over), Some(TransferState::Done));
        let back = step(action, "CallUUID=c&DialStatus=busy").unwrap();
        assert!(matches!(back.meaning, Meaning::Asked { .. }));
        assert_eq!(state(&back), Some(TransferState::Failed));

        let attended = transfer(TransferKind::Attended);
        let Consultation { answer, rings, ended } = Consultation::of(&attended);
        let (answer, joined) = (step(&answer, "").unwrap(), step(&joined(&attended), "").unwrap());
        assert_eq!(answer.reply, joined.reply, "they meet in one room");
        assert_eq!(state(&answer), Some(TransferState::Answered));
        assert_eq!(state(&joined), Some(TransferState::Done));
        assert_eq!(state(&step(&rings, "").unwrap()), Some(TransferState::Trying));
        let short = "CallStatus=completed&Duration=0&AnswerTime=2026-03-04+10%3A36%3A12";
        for done in ["CallStatus=completed", "CallStatus=completed&Duration=1", short] {
            assert_eq!(state(&step(&ended, done).unwrap()), None, "{done}");
        }
        for missed in ["CallStatus=busy", "CallStatus=completed&Duration=0", "Duration=1"] {
            let failed = step(&ended, missed).unwrap();
            assert_eq!(state(&failed), Some(TransferState::Failed), "{missed}");
        }
        for url in ["https://t.example/?step=dial&call=c", "https://t.example/?step=x&call=c", ""] {
            assert!(step(url, "").is_err(), "{url}");
        }
    }
}
