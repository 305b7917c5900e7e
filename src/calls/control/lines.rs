//! The media sockets of calls whose peer is on a line: let in, handed to the worker, lost.

use uuid::Uuid;

use super::Control;
use crate::agent::socket::AgentSocket;
use crate::calls::media_token::TokenError;
use crate::calls::request::SocketProof;
use crate::workers::command::{CallKey, Command};
use crate::workers::line::{LineEvent, LineLoss};
use crate::workers::poller::now;

impl Control {
    /// A carrier wants to open the media socket of a call: spends its token, and tells what is to
    /// be proven besides.
    pub(super) fn line_comes(
        &mut self,
        id: Uuid,
        provider: &str,
        token: &str,
    ) -> Result<Option<SocketProof>, TokenError> {
        let key = self.by_id.get(&id);
        let call = key.and_then(|key| self.calls.get_mut(key));
        let call = call.filter(|call| call.ended.is_none()).ok_or(TokenError::Wrong)?;
        if let Some(phone) = &mut call.web {
            return phone.token.spend(now(), provider, token).map(|()| None);
        }
        let line = call.carried.as_mut().ok_or(TokenError::Wrong)?;
        line.token.spend(now(), provider, token)?;
        let proof = |verify| SocketProof { verify, config: line.config.clone() };
        Ok(line.spec.verify_socket.map(proof))
    }

    /// The media socket of a call is open, or came to nothing after its token was spent.
    pub(super) fn line_open(&mut self, id: Uuid, socket: Option<AgentSocket>) {
        let Some(&key) = self.by_id.get(&id) else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let worker = call.worker;
        if let Some(line) = &mut call.pbx {
            let Some(socket) = socket else {
                return self.pbx_line(key, &LineEvent::Lost(LineLoss::Broken));
            };
            let link = Box::new(line.link(socket));
            self.command(worker, Command::Line { call: key, link });
            return self.reschedule(key);
        }
        let link = match (&call.web, &mut call.carried) {
            (Some(phone), _) => match socket {
                Some(socket) => phone.link(socket),
                None => return self.web_line(key, &LineEvent::Lost(LineLoss::Broken)),
            },
            (None, Some(line)) => match socket.and_then(|socket| line.link(socket)) {
                Some(link) => link,
                None => return line.token.closed(now()),
            },
            (None, None) => return,
        };
        self.command(worker, Command::Line { call: key, link: Box::new(link) });
    }

    /// Something happened on a call's line.
    pub(super) fn line_event(&mut self, key: CallKey, event: LineEvent) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        match &event {
            LineEvent::Started { format, .. } => {
                tracing::debug!(parent: &call.span, "the line's stream has started");
                call.format = Some(*format);
                self.recode(key);
            }
            LineEvent::Stopped(cause) => {
                tracing::debug!(parent: &call.span, ?cause, "the line's stream has stopped");
            }
            LineEvent::Lost(loss) => {
                tracing::info!(parent: &call.span, cause = loss.as_str(), "the line is lost");
                if let Some(line) = &mut call.carried {
                    line.token.closed(now());
                }
            }
        }
        if self.calls.get(&key).is_some_and(|call| call.web.is_some()) {
            return self.web_line(key, &event);
        }
        if self.calls.get(&key).is_some_and(|call| call.pbx.is_some()) {
            return self.pbx_line(key, &event);
        }
        self.carrier_line(key, event);
    }
}
