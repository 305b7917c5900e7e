//! What was left behind at Asterisk: of calls that are over here, or that a server of before had.
//!
//! Told apart by the names of what is ours. A bridge with somebody in it whom a call was handed to
//! is left alone for as long as two are in it.

use super::calls::{bridge_path, hangup_request};
use super::errors::{gone_is_done, success};
use super::events::{Bridge, Channel};
use super::names::{Role, read};
use super::request::{app, delete, get};
use super::socket::offered;
use crate::config::RawConfig;
use crate::event::InboundCall;
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::flow::Alive;
use crate::op::{Op, OpResult, Step};

/// Most requests of one go; what is left waits for the next.
const DELETED_MAX: usize = 100;

enum At {
    Channels,
    Bridges(Vec<Channel>),
    Deleting(Vec<HttpRequest>, Vec<InboundCall>),
}

struct Tidy {
    config: RawConfig,
    app: String,
    alive: Alive,
    at: At,
}

pub(super) fn tidy(config: &RawConfig, alive: &Alive) -> OpResult<Vec<InboundCall>> {
    let (app, alive) = (app(config)?.to_owned(), alive.clone());
    Ok(Box::new(Tidy { config: config.clone(), app, alive, at: At::Channels }))
}

fn list<T: serde::de::DeserializeOwned>(answer: &HttpResponse) -> Result<Vec<T>, CarrierError> {
    success(answer)?;
    serde_json::from_slice(&answer.body).map_err(|_| CarrierError::Answer("not a list"))
}

impl Tidy {
    fn is_alive(&self, call: &str) -> bool {
        // Ids of calls grow: what began since is none of what was left behind.
        call > self.alive.as_of.as_str() || self.alive.calls.iter().any(|alive| alive == call)
    }

    /// Channels that a call was handed over in, together with the one that they talk with.
    fn handed_over<'b>(&self, bridges: &'b [Bridge]) -> Vec<&'b str> {
        let target = |id: &String| {
            matches!(read(&self.app, id), Some((Role::Target | Role::BlindTarget, _)))
        };
        let pairs = bridges.iter().filter(|bridge| {
            let media = |id: &&String| !matches!(read(&self.app, id), Some((Role::Media, _)));
            bridge.channels.iter().any(target) && bridge.channels.iter().filter(media).count() > 1
        });
        pairs
            .flat_map(|bridge| {
                bridge.channels.iter().map(String::as_str).chain([bridge.id.as_str()])
            })
            .collect()
    }

    /// What is to be deleted, and who was not heard when they called.
    fn judge(
        &self,
        channels: &[Channel],
        bridges: &[Bridge],
    ) -> Result<(Vec<HttpRequest>, Vec<InboundCall>), CarrierError> {
        let kept = self.handed_over(bridges);
        let (mut deletes, mut callers) = (Vec::new(), Vec::new());
        for channel in channels.iter().filter(|channel| !kept.contains(&channel.id.as_str())) {
            match read(&self.app, &channel.id) {
                Some((_, call)) if self.is_alive(call) => {}
                Some(_) => deletes.push(hangup_request(&self.config, &channel.id, "normal")?),
                None if !channel.is_in(&self.app) || channel.id.contains(';') => {}
                None if self.alive.legs.iter().any(|leg| leg.0 == channel.id) => {}
                // Whoever is known for over is refused when it is offered again.
                None => {
                    let args = channel.dialplan.app_data.split(',').skip(1).map(str::to_owned);
                    callers.extend(offered(channel, &args.collect::<Vec<_>>()));
                }
            }
        }
        for bridge in bridges.iter().filter(|bridge| !kept.contains(&bridge.id.as_str())) {
            match read(&self.app, &bridge.id) {
                Some((_, call)) if !self.is_alive(call) => {
                    deletes.push(delete(&self.config, &bridge_path(&bridge.id), &[])?);
                }
                _ => {}
            }
        }
        deletes.truncate(DELETED_MAX);
        deletes.reverse();
        Ok((deletes, callers))
    }

    fn step(
        &mut self,
        answer: Option<HttpResponse>,
    ) -> Result<Step<Vec<InboundCall>>, CarrierError> {
        match (std::mem::replace(&mut self.at, At::Channels), answer) {
            (At::Channels, None) => Ok(Step::Send(get(&self.config, "channels")?)),
            (At::Channels, Some(answer)) => {
                self.at = At::Bridges(list(&answer)?);
                Ok(Step::Send(get(&self.config, "bridges")?))
            }
            (At::Bridges(channels), Some(answer)) => {
                let (deletes, callers) = self.judge(&channels, &list::<Bridge>(&answer)?)?;
                Ok(self.next_delete(deletes, callers))
            }
            (At::Deleting(deletes, callers), Some(answer)) => {
                gone_is_done(&answer)?;
                Ok(self.next_delete(deletes, callers))
            }
            (At::Bridges(_) | At::Deleting(..), None) => Err(CarrierError::Unavailable),
        }
    }

    fn next_delete(
        &mut self,
        mut deletes: Vec<HttpRequest>,
        callers: Vec<InboundCall>,
    ) -> Step<Vec<InboundCall>> {
        match deletes.pop() {
            Some(delete) => {
                self.at = At::Deleting(deletes, callers);
                Step::Send(delete)
            }
            None => Step::Done(callers),
        }
    }
}

impl Op<Vec<InboundCall>> for Tidy {
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<Vec<InboundCall>> {
        self.step(answer).unwrap_or_else(Step::Fail)
    }
}
