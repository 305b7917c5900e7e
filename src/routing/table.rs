//! Numbers and routes, in memory, found without looking at the others.

use std::collections::HashMap;

use uuid::Uuid;

use super::called::Called;
use super::conditions::Conditions;
use super::pattern::{Pattern, plain};

/// The priority of routes that name none, and of a number's own agent.
pub const PRIORITY: u16 = 100;

/// A rule: calls that fit are treated so.
#[derive(Clone, Debug, PartialEq)]
pub struct Route<T> {
    /// Its id.
    pub id: Uuid,
    /// The organisation whose calls it takes.
    pub organisation: Uuid,
    /// Which of them.
    pub scope: Scope,
    /// Called numbers or users.
    pub to: Pattern,
    /// The lower, the earlier it is looked at.
    pub priority: u16,
    /// Its share of the calls among its equals, if they are shared by lot; none with a weight of 0.
    pub weight: Option<u32>,
    /// When it holds.
    pub conditions: Conditions,
    /// How its calls are treated.
    pub treatment: T,
}

/// Which calls of an organisation a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those to this number.
    Number(Uuid),
    /// Those that come by this line: a trunk, or a carrier's configuration with its trunks.
    Line(Uuid),
    /// All.
    Organisation,
}

/// A number of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Number<T> {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub organisation: Uuid,
    /// The line that it is reached by.
    pub line: Uuid,
    /// The trunk of the line that its calls are placed through, if it is pinned to one.
    pub trunk: Option<Uuid>,
    /// The address in its one written form ([`adapters::address::Address`]).
    pub address: String,
    /// Whether calls to it are taken.
    pub active: bool,
    /// How calls are treated that no route of the number takes.
    pub treatment: Option<T>,
}

/// Numbers and routes.
#[derive(Debug)]
pub struct Table<T> {
    pub(super) routes: Vec<Route<T>>,
    numbers: Vec<Number<T>>,
    /// Numbers by line and address.
    by_line: HashMap<Uuid, HashMap<Box<str>, usize>>,
    /// Routes by organisation and scope.
    by_scope: HashMap<(Uuid, Scope), Patterns>,
    /// Lines by the carrier's name and its account.
    accounts: HashMap<Box<str>, HashMap<Box<str>, Vec<(Uuid, Uuid)>>>,
}

/// The routes of one scope, by their patterns; numbers are places in the table.
#[derive(Debug, Default)]
struct Patterns {
    exact: HashMap<Box<str>, Vec<usize>>,
    prefixes: HashMap<Box<str>, Vec<usize>>,
    /// Lengths of the prefixes, in bytes.
    lengths: Vec<usize>,
    any: Vec<usize>,
}

/// Takes numbers and routes and makes a [`Table`] of them.
#[derive(Debug)]
pub struct Builder<T>(Table<T>);

impl<T> Default for Builder<T> {
    fn default() -> Self {
        Self(Table {
            routes: Vec::new(),
            numbers: Vec::new(),
            by_line: HashMap::new(),
            by_scope: HashMap::new(),
            accounts: HashMap::new(),
        })
    }
}

impl<T> Builder<T> {
    /// Adds a route; among equals the earlier one is looked at first.
    pub fn route(&mut self, route: Route<T>) {
        let at = self.0.routes.len();
        let place = self.0.by_scope.entry((route.organisation, route.scope)).or_default();
        match &route.to {
            Pattern::Exact(number) => {
                place.exact.entry(plain(number).into()).or_default().push(at);
            }
            Pattern::Prefix(start) => {
                let start = plain(start);
                if !place.lengths.contains(&start.len()) {
                    place.lengths.push(start.len());
                }
                place.prefixes.entry(start.into()).or_default().push(at);
            }
            Pattern::Any => place.any.push(at),
        }
        self.0.routes.push(route);
    }

    /// Adds a number. Of two with the same address and line the first one counts.
    pub fn number(&mut self, number: Number<T>) {
        let line = self.0.by_line.entry(number.line).or_default();
        line.entry(plain(&number.address).into()).or_insert(self.0.numbers.len());
        self.0.numbers.push(number);
    }

    /// Adds a line that is known by the account of a carrier.
    pub fn account(&mut self, provider: &str, account: &str, organisation: Uuid, line: Uuid) {
        let accounts = self.0.accounts.entry(provider.into()).or_default();
        accounts.entry(account.into()).or_default().push((organisation, line));
    }

    /// The table of all that was added.
    pub fn build(self) -> Table<T> {
        self.0
    }
}

impl<T> Table<T> {
    /// The number that is called by a line.
    pub fn number(&self, line: Uuid, called: &Called<'_>) -> Option<&Number<T>> {
        let numbers = self.by_line.get(&line)?;
        let found = called.forms().find_map(|form| numbers.get(form));
        found.and_then(|at| self.numbers.get(*at))
    }

    /// The organisation and line of a call that a carrier tells of: by its account, and by the
    /// number if several of the carrier's configurations have that account.
    pub fn line(&self, provider: &str, account: &str, called: &Called<'_>) -> Option<(Uuid, Uuid)> {
        let lines = self.accounts.get(provider)?.get(account)?;
        let owner = lines.iter().find(|(_, line)| self.number(*line, called).is_some());
        owner.or_else(|| lines.first()).copied()
    }

    /// All routes, in the order in which they were made.
    pub fn routes(&self) -> &[Route<T>] {
        &self.routes
    }

    /// All numbers.
    pub fn numbers(&self) -> &[Number<T>] {
        &self.numbers
    }

    /// Tells of each route of the scope whose pattern fits, with how well it does.
    pub(super) fn fitting(
        &self,
        organisation: Uuid,
        scope: Scope,
        called: &Called<'_>,
        mut found: impl FnMut(usize, usize),
    ) {
        let Some(patterns) = self.by_scope.get(&(organisation, scope)) else { return };
        let Patterns { exact, prefixes, lengths, any } = patterns;
        let mut before: Option<&str> = None;
        for user in called.users() {
            // A number may fit a route in both of its forms; the first fit counts.
            let known = |at: usize| {
                let fits = |before| self.routes.get(at)?.to.fit(before);
                before.and_then(fits).is_some()
            };
            for at in exact.get(user).into_iter().flatten().filter(|at| !known(**at)) {
                found(*at, usize::MAX);
            }
            for length in lengths {
                let fitting = user.get(..*length).and_then(|start| prefixes.get(start));
                for at in fitting.into_iter().flatten().filter(|at| !known(**at)) {
                    found(*at, *length);
                }
            }
            before = Some(user);
        }
        for at in any {
            found(*at, 0);
        }
    }
}
