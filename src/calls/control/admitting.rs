//! Which way a call goes that somebody asks for, and whether there is room for it.

use std::sync::Arc;

use uuid::Uuid;

use super::Control;
use super::calling::number_from;
use super::carrier;
use super::choosing::{through, trunks};
use super::place::{Room, field};
use super::placing::Hop;
use crate::calls::request::{PlaceCall, RequestError};
use crate::carrier::Account;
use crate::directory::{Agent, Snapshot, Trunk};
use crate::quota::Way;

/// Where a call goes.
pub(super) enum Bearing {
    /// To telephones that registered with us: those of a round at the same time.
    Phones(Vec<Vec<Hop>>),
    /// To where its URI leads.
    Straight,
    /// Through the first of these trunks that takes it.
    Trunks(Vec<Arc<Trunk>>),
    /// By the first of these configurations of carriers that takes it.
    Carriers(Vec<Arc<Account>>),
}

impl Control {
    /// Who talks on a call, where it goes, and its places with everything that has a limit: nothing
    /// of a call that is refused is dialled or looked up.
    pub(super) fn admit_errand(
        &mut self,
        snapshot: &Snapshot,
        wanted: &PlaceCall,
    ) -> Result<(Arc<Agent>, Bearing, Room), RequestError> {
        if self.draining {
            return Err(RequestError::Draining);
        }
        let organisation = wanted.organisation.unwrap_or(snapshot.organisation);
        if wanted.id.is_some_and(|id| self.by_id.contains_key(&id)) {
            return Err(RequestError::State("the call has been placed"));
        }
        if snapshot.is_suspended(organisation) {
            return Err(RequestError::Suspended);
        }
        let agent = snapshot
            .agent(organisation, &wanted.agent)
            .ok_or_else(|| field("agent", format!("no agent is called \"{}\"", wanted.agent)))?;
        // Softphones are of the file, as is its organisation.
        let named = wanted.trunk.is_some() || wanted.telephony_configuration_id.is_some();
        let phones = match !named && organisation == snapshot.organisation {
            true => self.phone_rounds(&wanted.to),
            false => None,
        };
        let bearing = match phones {
            Some(rounds) => Bearing::Phones(rounds),
            None => self.bearing(snapshot, organisation, wanted)?,
        };
        // What has no way anywhere takes nothing.
        match &bearing {
            Bearing::Trunks(trunks) => self.check_trunks(snapshot, trunks, wanted)?,
            Bearing::Carriers(accounts) => {
                self.check_carriers(snapshot, accounts, wanted.into())?;
            }
            Bearing::Phones(_) | Bearing::Straight => {}
        }
        // The agent first: a place there costs no rate.
        let slot = self.take_agent(agent, Way::Out)?;
        let credit = self.take_credit(snapshot, organisation, wanted, &bearing)?;
        let mut permit = self.take_places(Way::Out, &snapshot.bounds(organisation, None, None))?;
        permit.prepay(credit);
        Ok((Arc::clone(agent), bearing, Room { permit, line: None, slot }))
    }

    /// Where a call goes that is not for a telephone of ours.
    fn bearing(
        &self,
        snapshot: &Snapshot,
        organisation: Uuid,
        wanted: &PlaceCall,
    ) -> Result<Bearing, RequestError> {
        let accounts = carrier::accounts(snapshot, organisation, wanted);
        if !accounts.is_empty() {
            self.judge(&wanted.to, None)?;
            return Ok(Bearing::Carriers(accounts));
        }
        let picked = |line| self.calling_by(snapshot, line, wanted.into()).ok().flatten();
        let from = |line| {
            let named = wanted.from.clone();
            named.or_else(|| picked(line).map(|calling| calling.number))
        };
        let trunks = trunks(snapshot, organisation, wanted, from)?;
        if trunks.is_empty() {
            self.judge(&wanted.to, None)?;
            return Ok(Bearing::Straight);
        }
        let mut refused = None;
        let mut allowed = Vec::new();
        for trunk in trunks {
            match self.judge(&wanted.to, Some(&trunk)) {
                Ok(()) => allowed.push(trunk),
                Err(why) => refused = Some(why),
            }
        }
        match refused {
            Some(why) if allowed.is_empty() => Err(why.into()),
            // What no trunk can express is wrong, whatever there is room for.
            _ => {
                let mut unsaid = None;
                for trunk in &allowed {
                    match through(trunk, &wanted.to) {
                        Ok(_) => return Ok(Bearing::Trunks(allowed)),
                        Err(error) => unsaid = Some(error),
                    }
                }
                unsaid.map_or(Ok(Bearing::Trunks(allowed)), Err)
            }
        }
    }

    /// Whether one of these trunks can take a call and has room for it: nothing is taken. The error
    /// is that of the last.
    fn check_trunks(
        &self,
        snapshot: &Snapshot,
        trunks: &[Arc<Trunk>],
        wanted: &PlaceCall,
    ) -> Result<(), RequestError> {
        let mut refused = None;
        for trunk in trunks {
            let checked = match through(trunk, &wanted.to) {
                Ok(_) => self.check_trunk(snapshot, trunk, wanted),
                Err(error) => Err(error),
            };
            match checked {
                Ok(()) => return Ok(()),
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn check_trunk(
        &self,
        snapshot: &Snapshot,
        trunk: &Trunk,
        wanted: &PlaceCall,
    ) -> Result<(), RequestError> {
        let calling = self.calling_through(snapshot, trunk, wanted.into())?;
        let from = number_from(wanted.from.as_deref(), calling.as_ref());
        Ok(self.check_line(snapshot, trunk, from)?)
    }
}
