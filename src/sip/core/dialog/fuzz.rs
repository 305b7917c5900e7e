//! Body of the fuzz target of dialogs: two sides of one, and a network that loses, repeats and
//! reorders what they send.
#![expect(clippy::panic, reason = "a fuzz body fails by panicking")]

use bytes::Bytes;

use super::Dialog;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;

/// Proxies that may record themselves: as they write it, their URI, and whether they route loosely.
const ROUTES: [(&str, &str, bool); 6] = [
    ("<sip:p1;lr>", "sip:p1;lr", true),
    ("<sip:p2:5070;transport=tcp;lr;x=1>;y=2", "sip:p2:5070;transport=tcp;lr;x=1", true),
    ("<sip:p3>", "sip:p3", false),
    ("\"a, <b>\" <sip:p4;lr=on>", "sip:p4;lr=on", true),
    ("<sips:p5?X=y>", "sips:p5", false),
    ("<sip:p6@[2001:db8::6];lr>", "sip:p6@[2001:db8::6];lr", true),
];
/// Contacts that requests and responses may have, and the target that each makes.
const CONTACTS: [(&str, Option<&str>); 8] = [
    ("<sip:a@10.0.0.1:5070;ob?X=y>", Some("sip:a@10.0.0.1:5070;ob")),
    ("<sip:a@b;transport=tcp>;expires=3", Some("sip:a@b;transport=tcp")),
    ("\"A\" <sips:a?b@c?d=e>", Some("sips:a?b@c")),
    ("sip:a@[::1]", Some("sip:a@[::1]")),
    ("", None),
    ("<tel:+1>", None),
    ("*", None),
    ("<sip:", None),
];
/// Methods of requests within the dialog, and whether they refresh the target (RFC 3261 12.2).
static METHODS: [(Method, bool); 6] = [
    (Method::Invite, true),
    (Method::Update, true),
    (Method::Info, false),
    (Method::Refer, false),
    (Method::Notify, false),
    (Method::Bye, false),
];
/// Requests under way; the oldest is lost beyond.
const UNDER_WAY_MAX: usize = 32;

/// Opens a dialog and lets both sides send: an octet each for the proxies and the two contacts,
/// then steps of two octets, what happens and with what.
///
/// # Panics
///
/// If a request does not name its dialog or takes another way than the routes say, if numbers do
/// not grow, if a request out of order is taken or one in order is not, or if the target is another
/// than the last that could be used.
pub fn sip_dialogs(data: &[u8]) {
    let Some((&[routes, contacts], steps)) = data.split_first_chunk() else { return };
    let mut pair = Pair::open(routes, contacts);
    for &[what, with] in steps.as_chunks().0 {
        pair.step(what, with);
        for side in &pair.sides {
            side.check();
        }
    }
}

/// One side of the dialog, beside what must hold for it.
struct Side {
    dialog: Dialog,
    /// Proxies on its way, the nearest first.
    routes: Vec<(&'static str, &'static str, bool)>,
    target: String,
    /// The highest number of the peer that it took.
    taken: Option<u32>,
    sent: u32,
    /// What it has been sent.
    inbox: Vec<Bytes>,
}

struct Pair {
    sides: [Side; 2],
}

fn pick<T: Clone>(all: &[T], which: u8) -> Option<T> {
    all.get(usize::from(which).checked_rem(all.len())?).cloned()
}

fn parse(octets: Bytes) -> Message {
    Message::parse(octets).unwrap_or_else(|error| panic!("it cannot be read: {error}"))
}

impl Pair {
    /// An INVITE by way of the proxies that the bits of `routes` name, and its answer.
    fn open(routes: u8, contacts: u8) -> Self {
        let chosen = ROUTES.into_iter().enumerate().filter(|(bit, _)| routes >> bit & 1 == 1);
        let proxies: Vec<_> = chosen.map(|(_, route)| route).collect();
        let recorded: String =
            proxies.iter().map(|(text, _, _)| format!("Record-Route: {text}\r\n")).collect();
        // What opens a dialog has a contact that can be used.
        let usable: Vec<_> =
            CONTACTS.into_iter().filter_map(|(text, uri)| Some((text, uri?))).collect();
        let contact = |which| pick(&usable, which).unwrap_or_default();
        let (callers, to_caller) = contact(contacts);
        let (callees, to_callee) = contact(contacts >> 4);
        let head = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: \"A, b\" <sip:a@a>;tag=a1\r\n\
                    Call-ID: c1@x\r\nCSeq: 7 INVITE\r\n";
        let read = |line: &str, tag: &str, contact: &str| {
            let (to, rest) = (format!("To: <sip:b@b>{tag}"), format!("Contact: {contact}\r\n\r\n"));
            parse(Bytes::from(format!("{line}\r\n{head}{to}\r\n{recorded}{rest}")))
        };
        let invite = read("INVITE sip:b@b SIP/2.0", "", callers);
        let answer = read("SIP/2.0 200 OK", ";tag=b1", callees);
        let (calling, called) = (Dialog::answered(&invite, &answer), Dialog::called(&invite, "b1"));
        let (Ok(calling), Ok(called)) = (calling, called) else { panic!("it opens no dialog") };
        let side = |dialog, routes, target: &str, taken, sent| {
            let target = target.to_owned();
            Side { dialog, routes, target, taken, sent, inbox: Vec::new() }
        };
        let backwards = proxies.iter().rev().copied().collect();
        let caller = side(calling, backwards, to_callee, None, 7);
        let callee = side(called, proxies, to_caller, Some(7), 0);
        Self { sides: [caller, callee] }
    }

    fn step(&mut self, what: u8, with: u8) {
        let [one, other] = &mut self.sides;
        let (one, other) = if what & 1 == 0 { (one, other) } else { (other, one) };
        match what >> 1 & 7 {
            0..=2 => {
                let request = one.send(with);
                if other.inbox.len() < UNDER_WAY_MAX {
                    other.inbox.push(request);
                }
            }
            3 => one.take(0),
            4 => one.take(usize::from(with)),
            5 if !one.inbox.is_empty() => drop(one.inbox.remove(0)),
            5 => {}
            6 => {
                let copy = one.inbox.first().cloned();
                one.inbox.extend(copy.filter(|_| one.inbox.len() < UNDER_WAY_MAX));
            }
            _ => one.strangers(with),
        }
    }
}

impl Side {
    /// Its next request, which goes the way that the dialog says.
    fn send(&mut self, with: u8) -> Bytes {
        let number = self.dialog.next_cseq();
        assert!(number > self.sent, "numbers grow");
        assert_eq!(number, self.dialog.local_cseq());
        self.sent = number;
        let method = pick(&METHODS, with).map_or(Method::Info, |(method, _)| method);
        let (contact, _) = pick(&CONTACTS, with >> 3).unwrap_or_default();
        let request = self.dialog.request(method, number, "SIP/2.0/UDP x;branch=z9hG4bK2");
        let request = match contact {
            "" => request,
            contact => request.header(HeaderName::Contact, contact),
        };
        let octets = request.build().unwrap_or_else(|error| panic!("not written: {error}"));
        let request = parse(octets.clone());
        let (uri, routes) = self.way();
        assert_eq!(request.uri(), Some(uri.as_str()));
        let told: Vec<_> = request.values(HeaderName::Route).collect();
        assert_eq!(told, routes);
        octets
    }

    /// Where a request goes, and the routes in it (RFC 3261 12.2.1.1).
    fn way(&self) -> (String, Vec<String>) {
        let texts = |routes: &[(&str, &str, bool)]| -> Vec<String> {
            routes.iter().map(|(text, _, _)| (*text).to_owned()).collect()
        };
        match self.routes.split_first() {
            Some((&(_, uri, false), rest)) => {
                let mut routes = texts(rest);
                routes.push(format!("<{}>", self.target));
                (uri.to_owned(), routes)
            }
            _ => (self.target.clone(), texts(&self.routes)),
        }
    }

    /// Takes a request that has come.
    fn take(&mut self, nth: usize) {
        let Some(index) = nth.checked_rem(self.inbox.len()) else { return };
        let request = parse(self.inbox.remove(index));
        let (Ok(from), Ok(cseq)) = (request.from(), request.cseq()) else { panic!("{request:?}") };
        assert!(request.call_id().is_ok_and(|id| self.dialog.matches(id, from.tag())));
        let in_order = self.taken.is_none_or(|taken| cseq.number > taken);
        assert_eq!(self.dialog.accept_cseq(cseq.number), in_order, "{cseq:?}");
        if !in_order {
            return;
        }
        self.taken = Some(cseq.number);
        let refreshes = METHODS.iter().any(|(method, yes)| *yes && *method == cseq.method);
        if refreshes {
            self.dialog.refresh_target(&request);
            let contact = request.header(HeaderName::Contact).unwrap_or_default();
            let usable = CONTACTS.iter().find(|(text, _)| *text == contact);
            if let Some(target) = usable.and_then(|(_, target)| *target) {
                target.clone_into(&mut self.target);
            }
        }
    }

    /// Names of other dialogs.
    fn strangers(&self, with: u8) {
        let tag = self.dialog.remote_tag();
        let other = format!("{}{}", tag.unwrap_or_default(), with % 10);
        assert!(!self.dialog.matches("c1", tag) && !self.dialog.matches("C1@x", tag));
        assert!(!self.dialog.matches("c1@x", Some(&other)) && !self.dialog.matches("c1@x", None));
    }

    fn check(&self) {
        assert_eq!(self.dialog.target(), self.target);
        let hop = self.routes.first().map_or(self.target.as_str(), |(_, uri, _)| uri);
        let next = self.dialog.next_hop();
        assert!(next.is_some_and(|next| next.as_str().starts_with(hop)), "{next:?} is not {hop}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every set of proxies and contacts, and every kind of request over each.
    #[test]
    fn every_way() {
        for routes in 0..64 {
            for contacts in 0..=255 {
                sip_dialogs(&[routes, contacts, 0, contacts, 1, routes, 7, 0, 6, 0, 0, routes]);
            }
        }
        for with in 0..=255 {
            sip_dialogs(&[
                0b1_0011, 0, 0, with, 7, 0, 1, with, 1, with, 8, 1, 6, 0, 14, with, 0, 1,
            ]);
        }
    }

    /// Long random sequences.
    #[test]
    fn random_steps() {
        let mut random = fastrand::Rng::with_seed(12);
        for _ in 0..3_000 {
            let length = random.usize(0..120);
            let octets: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            sip_dialogs(&octets);
        }
    }
}
