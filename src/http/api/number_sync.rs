//! What carriers are told of numbers that are made, changed and removed here: where their calls go.

use adapters::address::Address;
use adapters::op::{Bind, CallOps};
use serde_json::{Value, json};

use super::at_carrier::run;
use super::numbers;
use crate::carrier::{Account, Failure};
use crate::http::auth::Caller;
use crate::http::openapi::schema;
use crate::http::problem::Problem;
use crate::quota::Limits;
use crate::store::Audit;
use crate::store::numbers::{Number, NumberFields};

/// What became of telling the carrier, as it is shown.
pub(super) fn told_schema() -> Value {
    let told =
        schema::object(&[("ok", schema::flag()), ("message", json!({"type": "string"}))], &[]);
    let about = "in answers to a change alone: what became of telling the carrier where its calls \
                 go; null if there was nothing to tell, or no way to";
    schema::described(schema::nullable(told), about)
}

/// Where a carrier is to send the calls of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To this server.
    Here,
    /// Away from it.
    Away,
}

impl Way {
    /// What follows from a change of what is set of a number, which is new without a `before` and
    /// gone without an `after`. Without an agent routes decide, so that an agent that is taken away
    /// changes nothing at the carrier.
    pub(super) fn of(before: Option<&NumberFields>, after: Option<&NumberFields>) -> Option<Self> {
        let has_agent = |fields: &NumberFields| fields.is_active && fields.agent.is_some();
        match after {
            Some(after) if has_agent(after) && !before.is_some_and(has_agent) => Some(Self::Here),
            Some(after) if after.is_active => None,
            _ => before.is_some_and(|before| before.is_active).then_some(Self::Away),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Here => "its calls come here",
            Self::Away => "its calls come here no more",
        }
    }
}

/// Tells the carrier of a number where its calls go. Away only if they came here: what the account
/// does with it otherwise is not ours. `None` if there was nothing to tell, if its carrier cannot
/// be told, or as long as no address is configured at which carriers reach this server.
///
/// # Errors
///
/// If the database cannot be reached. What the carrier does not do is told.
pub(super) async fn tell(
    state: &crate::http::State,
    caller: &Caller,
    number: &Number,
    way: Way,
) -> Result<Option<Result<(), Failure>>, Problem> {
    if state.public_url.is_none() {
        return Ok(None);
    }
    let stored = state.store.configuration(caller.organisation, number.configuration).await?;
    let Some(account) = Account::of(&stored, Limits::default()) else { return Ok(None) };
    let CallOps { bind: Some(bind), .. } = account.spec.calls else { return Ok(None) };
    let Ok(address) = Address::parse(&number.address.normalised, None) else { return Ok(None) };
    if way == Way::Away {
        match comes_here(state, &account, &address).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(failure) => return Ok(Some(Err(failure))),
        }
    }
    let hooks = (way == Way::Here).then(|| account.hooks(&state.base_url));
    let op = bind(&account.config, &Bind { address, hooks });
    let told = run(state, &account, "bind", op).await;
    if told.is_ok() {
        let action = if way == Way::Here { "bind" } else { "unbind" };
        let (organisation, actor) = (caller.organisation, caller.actor());
        state.store.audit(&Audit::new(organisation, &actor, action, "number", number.id)).await?;
    }
    Ok(Some(told))
}

/// Whether the carrier sends the calls of a number to this server.
async fn comes_here(
    state: &crate::http::State,
    account: &Account,
    address: &Address,
) -> Result<bool, Failure> {
    let CallOps { numbers: Some(numbers), .. } = account.spec.calls else { return Ok(true) };
    let listed = run(state, account, "numbers", numbers(&account.config)).await?;
    let Some(number) = listed.iter().find(|number| number.address == *address) else {
        return Ok(false);
    };
    let hook = account.spec.inbound.map(|inbound| inbound.hook);
    let here = hook.map(|hook| account.hooks(&state.base_url).url(hook));
    Ok(number.ours || (here.is_some() && number.bound_to == here))
}

/// A number as it is shown to whoever changed it, once its carrier was told what follows.
///
/// # Errors
///
/// If the database cannot be reached.
pub(super) async fn shown(
    state: &crate::http::State,
    caller: &Caller,
    before: Option<&NumberFields>,
    number: &Number,
) -> Result<Value, Problem> {
    let told = match Way::of(before, Some(&number.fields)) {
        None => Value::Null,
        Some(way) => match tell(state, caller, number, way).await? {
            None => Value::Null,
            Some(Ok(())) => json!({"ok": true, "message": way.as_str()}),
            Some(Err(failure)) => json!({"ok": false, "message": failure.to_string()}),
        },
    };
    let mut shown = numbers::shown(number);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("provider_sync".to_owned(), told);
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::AgentId;

    fn fields(has_agent: bool, is_active: bool) -> NumberFields {
        NumberFields {
            trunk: None,
            agent: has_agent.then(AgentId::new),
            country: None,
            label: None,
            is_active,
            is_default_caller_id: false,
            metadata: json!({}),
            limits: Default::default(),
        }
    }

    /// An agent has calls sent here; a number that rests, or is gone, has them sent away; nothing
    /// else is told to anybody.
    #[test]
    fn what_follows_from_a_change() {
        let (routed, bare) = (fields(true, true), fields(false, true));
        let (resting, off) = (fields(true, false), fields(false, false));
        for (before, after, way) in [
            (None, Some(&routed), Some(Way::Here)),
            (None, Some(&bare), None),
            (None, Some(&resting), None),
            (Some(&bare), Some(&routed), Some(Way::Here)),
            (Some(&resting), Some(&routed), Some(Way::Here)),
            (Some(&routed), Some(&fields(true, true)), None),
            (Some(&routed), Some(&bare), None),
            (Some(&routed), Some(&resting), Some(Way::Away)),
            (Some(&bare), Some(&off), Some(Way::Away)),
            (Some(&off), Some(&resting), None),
            (Some(&bare), None, Some(Way::Away)),
            (Some(&off), None, None),
        ] {
            assert_eq!(Way::of(before, after), way, "{before:?} {after:?}");
        }
    }
}
