//! Messages of dialogs that may be captured yet: whether they are is known only once the call has
//! been routed.

use std::collections::VecDeque;

use super::name::Name;
use super::registry::Message;
use super::{WAITING_BYTES_MAX, WAITING_MAX, WAITING_MESSAGES_MAX};

/// Messages of one dialog.
#[derive(Debug)]
struct Entry {
    name: Name,
    messages: Vec<Message>,
}

/// Messages that wait, the oldest dialog first.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Entry {
    fn is_of(&self, name: &Name) -> bool {
        let same = |own: Option<u128>, other: Option<u128>| own.is_some() && own == other;
        match (self.name.tag, name.tag) {
            (Some(own), Some(other)) => own == other,
            _ => same(self.name.transaction, name.transaction),
        }
    }
}

impl Waiting {
    /// Takes a message.
    pub(super) fn push(&mut self, name: Name, message: Message) {
        let bytes = message.bytes.len();
        match self.entries.iter_mut().rev().find(|entry| entry.is_of(&name)) {
            Some(entry) if entry.messages.len() < WAITING_MESSAGES_MAX => {
                // Our answer says which dialog the request has opened.
                entry.name.tag = entry.name.tag.or(name.tag);
                entry.name.challenges |= name.challenges;
                entry.messages.push(message);
            }
            Some(_) => return,
            None => self.entries.push_back(Entry { name, messages: vec![message] }),
        }
        self.bytes += bytes;
        while self.entries.len() > WAITING_MAX || self.bytes > WAITING_BYTES_MAX {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= bytes_of(&entry.messages);
        }
    }

    /// Gives out the messages of a dialog, and those by which its caller was asked who it is, in
    /// their order.
    pub(super) fn take(&mut self, name: &Name) -> Vec<Message> {
        let own = self.entries.iter().position(|entry| entry.is_of(name));
        let own = own.and_then(|at| self.entries.remove(at));
        let caller = own.as_ref().map_or(name.caller, |entry| entry.name.caller);
        let mut taken = Vec::new();
        self.entries.retain_mut(|entry| {
            let asked = entry.name.challenges && caller.is_some() && entry.name.caller == caller;
            if asked {
                taken.append(&mut entry.messages);
            }
            !asked
        });
        taken.extend(own.into_iter().flat_map(|entry| entry.messages));
        self.bytes -= bytes_of(&taken);
        taken
    }
}

pub(super) fn bytes_of(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.bytes.len()).sum()
}
