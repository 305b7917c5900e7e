//! The PBX in front of a call that owns it: it holds the customer's leg, and is asked over HTTP to
//! hang up on the customer, to hand the customer to a group, and to note what was learned.

use std::sync::Arc;
use std::time::Duration;

use adapters::exchange::CarrierError;
use adapters::external_pbx::{ExternalPbx, Identity};
use adapters::op::OpResult;
use media::time::MonoTime;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::call::Effect;
use super::log::{CallFact, LogHandle, Source, What};
use super::request::{Handle, Request};
use crate::carrier::{Account, Exchanges, Failure, Patience};
use crate::store::Timestamp;
use crate::workers::command::CallKey;

/// Requests of one call that may wait; further ones are refused.
pub(super) const JOBS_MAX: usize = 16;
/// Requests of one call in all, its end aside.
pub(super) const JOBS_OF_CALL_MAX: u32 = 200;

/// What the PBX is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To hang up on the customer.
    HangUp,
    /// To hand the customer to a group.
    Transfer,
    /// To change the customer's record.
    Update,
}

impl Action {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HangUp => "hangup",
            Self::Transfer => "transfer",
            Self::Update => "update",
        }
    }
}

/// A request to the PBX.
pub(super) struct Job {
    /// Its number within the call.
    pub(super) number: u32,
    /// What for.
    pub(super) action: Action,
    /// Names of the fields that are changed.
    pub(super) fields: Vec<String>,
    /// The request, or why there is none.
    pub(super) op: OpResult<()>,
}

/// What became of a request to the PBX.
#[derive(Debug)]
pub struct Obeyed {
    /// The call, which may be over.
    pub(super) call: CallKey,
    /// The number of the request.
    pub(super) number: u32,
    /// What for.
    pub(super) action: Action,
    /// Done, or why not.
    pub(super) result: Result<(), Failure>,
}

/// The end of a call that waits for the PBX.
pub(super) struct Held {
    /// What is to be done then.
    pub(super) effects: Vec<Effect>,
    /// The request that is waited for.
    pub(super) number: u32,
    /// How long it is, at most.
    pub(super) until: MonoTime,
}

/// The PBX that owns a call.
pub(super) struct External {
    /// Its kind.
    pub(super) pbx: &'static ExternalPbx,
    /// How it is reached.
    pub(super) account: Arc<Account>,
    /// What it calls the call.
    pub(super) identity: Identity,
    /// Takes requests, which are made one after the other.
    jobs: mpsc::Sender<Job>,
    made: u32,
    /// The status that the agent has given the call.
    pub(super) status: Option<String>,
    /// The request by which the customer is handed to a group, while it is under way.
    pub(super) handing: Option<u32>,
    /// The customer is with a group, or perhaps is.
    pub(super) handed: bool,
    /// What is written at the end has been.
    pub(super) is_closing: bool,
    /// The end of the call that waits for it.
    pub(super) held: Option<Held>,
}

impl External {
    /// One that is asked by a task of its own, which ends with this and what is asked by then.
    pub(super) fn new(
        pbx: &'static ExternalPbx,
        account: Arc<Account>,
        identity: Identity,
        asks: Asks,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let task = asks.follow(Arc::clone(&account), queue);
        let external = Self {
            pbx,
            account,
            identity,
            jobs,
            made: 0,
            status: None,
            handing: None,
            handed: false,
            is_closing: false,
            held: None,
        };
        (external, task)
    }

    /// When the end of the call is no longer put off.
    pub(super) fn deadline(&self) -> MonoTime {
        self.held.as_ref().map_or(MonoTime::MAX, |held| held.until)
    }

    /// How long a request may take.
    pub(super) fn patience(&self) -> Duration {
        patience(&self.account)
    }

    /// Lets the PBX be asked; the number of the request, unless too many wait or were made.
    pub(super) fn ask(
        &mut self,
        action: Action,
        fields: Vec<String>,
        op: OpResult<()>,
    ) -> Option<u32> {
        if self.made >= JOBS_OF_CALL_MAX && !self.is_closing {
            return None;
        }
        let number = self.made;
        self.jobs.try_send(Job { number, action, fields, op }).ok()?;
        self.made += 1;
        Some(number)
    }
}

fn patience(account: &Account) -> Duration {
    Duration::from_secs(adapters::external_pbx::timeout_s(&account.config).into())
}

/// A PBX that says in words that it did not do something has not, whatever the status.
fn known(failure: Failure) -> Failure {
    let silent = matches!(failure.error, CarrierError::Unavailable | CarrierError::Answer(_));
    Failure { perhaps_done: failure.perhaps_done && silent, ..failure }
}

/// Asks a PBX on behalf of one call.
pub(super) struct Asks {
    pub(super) key: CallKey,
    pub(super) call: Uuid,
    pub(super) exchanges: Exchanges,
    pub(super) handle: Handle,
    pub(super) log: LogHandle,
}

impl Asks {
    /// One request after the other. What may have been carried out is not asked for again.
    async fn follow(self, account: Arc<Account>, mut queue: mpsc::Receiver<Job>) {
        while let Some(Job { number, action, fields, op }) = queue.recv().await {
            let patience = Patience { attempts: 2, within: patience(&account) };
            let result = match op {
                Ok(op) => self.exchanges.run(&account, action.as_str(), op, patience).await,
                Err(error) => Err(error.into()),
            };
            let result = result.map_err(known);
            let call = self.call;
            match &result {
                Ok(()) => tracing::info!(%call, action = action.as_str(), "the PBX did it"),
                Err(failure) => {
                    tracing::warn!(%call, action = action.as_str(), %failure, "the PBX did not");
                }
            }
            self.note(number, action, fields, result.as_ref().err());
            let call = self.key;
            let obeyed = Box::new(Obeyed { call, number, action, result });
            self.handle.send(Request::Obeyed(obeyed)).await;
        }
    }

    /// Tells the log, which hears of it after the end of the call as well.
    fn note(&self, number: u32, action: Action, fields: Vec<String>, failure: Option<&Failure>) {
        let what = What::ExternalPbx {
            action: action.as_str().to_owned(),
            state: match failure {
                None => "done",
                Some(failure) if failure.perhaps_done => "unknown",
                Some(_) => "failed",
            }
            .to_owned(),
            cause: failure.map(|failure| failure.error.as_str().to_owned()),
            reason: failure.map(ToString::to_string),
            fields,
        };
        let (source, id) = (Source::Node, format!("pbx.{number}"));
        self.log.tell(CallFact { call: self.call, source, id, at_us: Timestamp::now().0, what });
    }
}
