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
use crate::event::{CallFact, CarrierCallId, HangupCause, Meaning, TransferOf, TransferState};
use crate::exchange::escape;
use crate::form_hooks::{Fields, fact, in_address, maybe, text};
use crate::hook::{self, Handled, HookError, HookReply, HookRequest};
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
    /// Why a leg ended, as the carrier tells its end.
    pub(crate) cause: fn(&Fields) -> HangupCause,
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

fn url(transfer: &Transfer, step: &str, pairs: &[(&str, &str)]) -> String {
    let of_call = [("step", step), ("call", &*transfer.call.0)];
    let pairs = of_call.iter().chain(pairs);
    let pairs: String = pairs.map(|(name, value)| format!("&{name}={}", escape(value))).collect();
    transfer.hooks.of_transfer(HOOK, &transfer.id) + &pairs
}

/// The room in which caller and destination of an attended transfer meet.
fn room(transfer: &Transfer) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let id: String = transfer.id.chars().filter(plain).collect();
    format!("transfer-{id}")
}

fn digits(address: &Address) -> &str {
    address.digits().unwrap_or(address.expose())
}

/// Where the caller of a blind transfer is sent.
pub(crate) fn blind(transfer: &Transfer, ring_s: u32) -> String {
    let ring_s = ring_s.to_string();
    let mut pairs = vec![("to", transfer.to.expose()), ("ring", &*ring_s)];
    pairs.extend(transfer.from.as_ref().map(|from| ("from", digits(from))));
    url(transfer, "dial", &pairs)
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
        Self {
            answer: url(transfer, "destination", &[("room", &room(transfer))]),
            rings: url(transfer, "rings", &[]),
            ended: url(transfer, "ended", &[]),
        }
    }
}

/// Where the caller of an attended transfer is sent, once the destination answered.
pub(crate) fn joined(transfer: &Transfer) -> String {
    url(transfer, "caller", &[("room", &room(transfer))])
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
    let told = |state, leg, cause| {
        let id = format!("transfer:{step}:{}", maybe(fields, "CallUUID"));
        let of = TransferOf { id: request.transfer(), leg, cause };
        vec![fact(caller.clone(), &id, CallFact::Transfer { state, of })]
    };
    let state = |state| told(state, None, None);
    // Of the leg that was called apart.
    let leg = || text(fields, "CallUUID").ok().map(|leg| CarrierCallId(leg.to_owned()));
    let apart = |state| told(state, leg(), None);
    let room = || text(&ours, "room").map(documents.room);
    let (events, reply) = match step {
        "dial" => (state(TransferState::Trying), dial(request, &ours, documents)?),
        "dialled" if maybe(fields, "DialStatus") == "completed" => {
            (state(TransferState::Done), (documents.hangup)())
        }
        // Nobody was reached: the caller comes back.
        "dialled" => {
            let cause = dial_cause(maybe(fields, "DialStatus"));
            let events = told(TransferState::Failed, None, cause);
            let meaning = Meaning::Asked { call: caller.clone(), events };
            return Ok(Handled { meaning, reply: (documents.hangup)() });
        }
        "rings" => (apart(TransferState::Trying), HookReply::NO_CONTENT),
        "destination" => (apart(TransferState::Answered), room()?),
        "caller" => (state(TransferState::Done), room()?),
        // However it ended: some carriers say "completed" of any end, and after the two were joined
        // it is no news.
        "ended" => {
            let cause = Some((documents.cause)(fields));
            (told(TransferState::Failed, leg(), cause), HookReply::NO_CONTENT)
        }
        _ => return Err(HookError::Field("step")),
    };
    Ok(Handled { meaning: Meaning::Events(events), reply })
}

/// Why nobody was reached, in the carrier's word for the outcome of a dial.
fn dial_cause(status: &str) -> Option<HangupCause> {
    match status {
        "busy" => Some(HangupCause::Busy),
        "no-answer" | "timeout" => Some(HangupCause::NoAnswer),
        "failed" => Some(HangupCause::Failed),
        _ => None,
    }
}

fn dial(
    request: &HookRequest<'_>,
    ours: &Fields,
    documents: &Documents,
) -> Result<HookReply, HookError> {
    let to = Address::parse(text(ours, "to")?, None).map_err(|_| HookError::Field("to"))?;
    let here = request.url.split('?').next().unwrap_or_default();
    // The carrier comes back to this hook, and tells how it goes at its sibling.
    let transfer = request.transfer();
    let named = transfer.map(|id| format!("{}={}", hook::TRANSFER, escape(&id)));
    let named = named.unwrap_or_default();
    let action = format!("{here}?step=dialled&call={}&{named}", escape(text(ours, "call")?));
    let events = format!("{}?{named}", here.replacen("/transfer/", "/status/", 1));
    let action = action.trim_end_matches('&').to_owned();
    let events = events.trim_end_matches('?').to_owned();
    let (from, ring_s) = (text(ours, "from").ok(), text(ours, "ring")?);
    Ok((documents.dial)(&Dial { to: &to, from, ring_s, action: &action, events: &events }))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::hook::HookUrls;
    use crate::op::TransferKind;

    static DOCUMENTS: Documents = Documents {
        dial: |dial| HookReply::document("text/plain", format!("{} {}", dial.action, dial.events)),
        room: |name| HookReply::document("text/plain", name.to_owned()),
        hangup: || HookReply::NO_CONTENT,
        cause: |fields| match maybe(fields, "CallStatus") {
            "busy" => HangupCause::Busy,
            _ => HangupCause::Normal,
        },
    };

    fn transfer(kind: TransferKind) -> Transfer {
        Transfer {
            id: "t-1".to_owned(),
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

    fn told(handled: &Handled) -> Option<(TransferState, TransferOf)> {
        let (Meaning::Events(events) | Meaning::Asked { events, .. }) = &handled.meaning else {
            return None;
        };
        events.iter().find_map(|event| match &event.what {
            CallFact::Transfer { state, of } if event.call.0 == "c&1" => Some((*state, of.clone())),
            _ => None,
        })
    }

    fn state(handled: &Handled) -> Option<TransferState> {
        let (state, of) = told(handled)?;
        assert_eq!(of.id.as_deref(), Some("t-1"), "it says which transfer it is about");
        Some(state)
    }

    /// Each address leads to its step, and says of the right call how far the transfer is, whatever
    /// stands in its id.
    #[test]
    fn addresses_lead_to_their_steps() {
        let sent = step(&blind(&transfer(TransferKind::Blind), 20), "CallUUID=c").unwrap();
        assert_eq!(state(&sent), Some(TransferState::Trying));
        let said = String::from_utf8(sent.reply.body.to_vec()).unwrap();
        let (action, events) = said.split_once(' ').unwrap();
        assert!(events.ends_with("/p/status/tok?transfer=t-1"), "{events}");
        let over = step(action, "CallUUID=c&DialStatus=completed").unwrap();
        assert_eq!(state(&over), Some(TransferState::Done));
        let back = step(action, "CallUUID=c&DialStatus=busy").unwrap();
        assert!(matches!(back.meaning, Meaning::Asked { .. }));
        assert_eq!(state(&back), Some(TransferState::Failed));
        assert_eq!(told(&back).unwrap().1.cause, Some(HangupCause::Busy));

        let attended = transfer(TransferKind::Attended);
        let Consultation { answer, rings, ended } = Consultation::of(&attended);
        let attended_answer = answer.clone();
        let (answer, joined) = (step(&answer, "").unwrap(), step(&joined(&attended), "").unwrap());
        assert_eq!(answer.reply, joined.reply, "they meet in one room");
        let next = Transfer { id: "t-2".to_owned(), ..attended.clone() };
        let next = step(&super::joined(&next), "").unwrap();
        assert_ne!(next.reply, joined.reply, "and those of the next transfer in another");
        assert_eq!(state(&answer), Some(TransferState::Answered));
        assert_eq!(state(&joined), Some(TransferState::Done));
        assert_eq!(state(&step(&rings, "").unwrap()), Some(TransferState::Trying));
        let of = |url: &str| told(&step(url, "CallUUID=leg").unwrap()).unwrap().1.leg;
        let leg = Some(CarrierCallId("leg".to_owned()));
        assert_eq!([of(&rings), of(&attended_answer)], [leg.clone(), leg], "whom it has called");
        assert_eq!(of(&super::joined(&attended)), None, "the caller is not called");
        for (status, cause) in [("busy", HangupCause::Busy), ("completed", HangupCause::Normal)] {
            let failed = step(&ended, &format!("CallStatus={status}")).unwrap();
            assert_eq!(state(&failed), Some(TransferState::Failed));
            assert_eq!(told(&failed).unwrap().1.cause, Some(cause), "why the leg ended");
        }
        for url in ["https://t.example/?step=dial&call=c", "https://t.example/?step=x&call=c", ""] {
            assert!(step(url, "").is_err(), "{url}");
        }
    }
}
