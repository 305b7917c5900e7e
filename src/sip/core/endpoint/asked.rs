//! Requests outside of dialogs that the user of the endpoint answers: REGISTER (RFC 3261 10.3).

use media::time::MonoTime;

use super::Endpoint;
use super::event::{AskedId, Event};
use super::flow::Flow;
use crate::sip::core::message::Message;
use crate::sip::core::validate::Refusal;

impl Endpoint {
    /// A REGISTER, whose sender always has to prove who it is.
    pub(super) fn handle_register(&mut self, now: MonoTime, flow: Flow, request: Message) {
        if self.refusing.is_some() || self.servers.is_full() {
            return self.refuse(flow, &request, &self.overload());
        }
        let user = match self.judge_credentials(now, flow, &request) {
            Ok(user) => user,
            Err(refusal) => return self.refuse(flow, &request, &refusal),
        };
        let tag = self.ids.number();
        if let Some(server) = self.begin_server(flow, &request, None, tag) {
            let asked = AskedId(server);
            self.events.push_back(Event::Registering { asked, user, request, flow });
        }
    }

    /// Answers a request that an event told of.
    pub fn reply(&mut self, now: MonoTime, asked: AskedId, answer: &Refusal) {
        self.respond_with(now, asked.0, answer.status, answer.reason, |_, mut response, _| {
            for (name, value) in &answer.headers {
                response = response.header(*name, value);
            }
            response
        });
    }
}
