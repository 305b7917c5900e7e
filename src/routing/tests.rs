//! Decisions: their order, their lots, their reasons, their time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const ORGANISATION: Uuid = Uuid::from_u128(1);
const LINE: Uuid = Uuid::from_u128(2);
const NUMBER: Uuid = Uuid::from_u128(3);

fn route(id: u128, scope: Scope, to: &str, treatment: &'static str) -> Route<&'static str> {
    Route {
        id: Uuid::from_u128(id),
        organisation: ORGANISATION,
        scope,
        to: Pattern::parse(to).unwrap(),
        priority: PRIORITY,
        weight: None,
        conditions: Conditions::default(),
        treatment,
    }
}

fn number(address: &str, treatment: Option<&'static str>) -> Number<&'static str> {
    Number {
        id: NUMBER,
        organisation: ORGANISATION,
        line: LINE,
        trunk: None,
        address: address.into(),
        active: true,
        treatment,
    }
}

fn table(
    routes: Vec<Route<&'static str>>,
    numbers: Vec<Number<&'static str>>,
) -> Table<&'static str> {
    let mut builder = Builder::default();
    routes.into_iter().for_each(|route| builder.route(route));
    numbers.into_iter().for_each(|number| builder.number(number));
    builder.build()
}

fn inquiry<'a>(called: &'a str, caller: &'a str) -> Inquiry<'a> {
    Inquiry {
        organisation: ORGANISATION,
        line: Some(LINE),
        trunk: None,
        called: Called::new(called, None, Some("DE")),
        caller,
        at: "2026-06-01T12:00:00Z".parse().unwrap(),
        lot: 0,
    }
}

fn taken(table: &Table<&'static str>, called: &str) -> Result<&'static str, Unrouted> {
    table.decide(&inquiry(called, "+4930")).map(|decision| *decision.treatment)
}

fn schedule(window: &str) -> Conditions {
    let schedule = Schedule::parse("UTC", [window], []).unwrap();
    Conditions { schedule: Some(schedule), ..Conditions::default() }
}

/// A route of a trunk takes the calls that come by it before those of its configuration do, and
/// no others.
#[test]
fn trunks_of_a_configuration() {
    let trunk = Uuid::from_u128(77);
    let routes = vec![
        route(1, Scope::Organisation, "*", "any"),
        route(2, Scope::Line(LINE), "*", "line"),
        route(3, Scope::Line(trunk), "*", "trunk"),
    ];
    let table = table(routes, vec![number("100", None)]);
    let by = |trunk| {
        let inquiry = Inquiry { trunk, ..inquiry("100", "1") };
        *table.decide(&inquiry).unwrap().treatment
    };
    assert_eq!(by(Some(trunk)), "trunk");
    assert_eq!(by(Some(Uuid::from_u128(78))), "line");
    assert_eq!(by(None), "line");
    let elsewhere = table.explain(&inquiry("100", "1"));
    let verdict = |id| elsewhere.steps.iter().find(|step| step.route == id).unwrap().verdict;
    assert_eq!(verdict(Uuid::from_u128(3)), Verdict::OtherLine);
    let there = table.explain(&Inquiry { trunk: Some(trunk), ..inquiry("100", "1") });
    let verdict = |id| there.steps.iter().find(|step| step.route == id).unwrap().verdict;
    assert_eq!(verdict(Uuid::from_u128(2)), Verdict::Later);
}

/// Number before own agent, before line, before organisation; the more specific pattern; the order.
#[test]
fn order_of_routes() {
    let all = || {
        vec![
            route(10, Scope::Organisation, "4930111", "organisation"),
            route(11, Scope::Line(LINE), "*", "line any"),
            route(12, Scope::Line(LINE), "49301*", "line prefix"),
            route(13, Scope::Line(LINE), "4930*", "line short"),
            route(14, Scope::Line(Uuid::nil()), "+4930111", "other line"),
            route(15, Scope::Line(LINE), "49301*", "line prefix, later"),
        ]
    };
    let none = table(all(), vec![]);
    assert_eq!(taken(&none, "+4930111"), Ok("line prefix"));
    assert_eq!(taken(&none, "030111"), Ok("line prefix"), "by the plan of the country");
    assert_eq!(taken(&none, "4930211"), Ok("line short"));
    assert_eq!(taken(&none, "x"), Ok("line any"));
    let own = table(all(), vec![number("+4930111", Some("own"))]);
    assert_eq!(taken(&own, "030111"), Ok("own"));
    assert_eq!(taken(&own, "030112"), Ok("line prefix"));
    let mut routes = all();
    routes.push(route(16, Scope::Number(NUMBER), "*", "number"));
    let both = table(routes.clone(), vec![number("+4930111", Some("own"))]);
    assert_eq!(taken(&both, "4930111"), Ok("number"));
    routes.push(Route { priority: 1, ..route(17, Scope::Organisation, "*", "first of all") });
    let first = table(routes, vec![number("+4930111", Some("own"))]);
    assert_eq!(taken(&first, "4930111"), Ok("first of all"));
}

/// A route whose time or caller is not now leaves the call to the next; a number that is switched
/// off takes none; foreign routes are never looked at.
#[test]
fn conditions_and_refusals() {
    let night = Route {
        conditions: schedule("22:00-06:00"),
        ..route(10, Scope::Number(NUMBER), "*", "night")
    };
    let friends = Route {
        conditions: Conditions {
            callers: Callers { only: vec![Pattern::parse("+49*").unwrap()], except: vec![] },
            ..Conditions::default()
        },
        ..route(11, Scope::Number(NUMBER), "*", "friends")
    };
    let foreign =
        Route { organisation: Uuid::nil(), ..route(12, Scope::Organisation, "*", "foreign") };
    let found = table(vec![night.clone(), friends, foreign.clone()], vec![number("100", None)]);
    assert_eq!(taken(&found, "100"), Ok("friends"));
    let stranger = found.decide(&inquiry("100", "+1212"));
    assert_eq!(stranger.unwrap_err(), Unrouted::Conditions);
    let explained = found.explain(&inquiry("100", "+1212"));
    let verdicts: Vec<_> = explained.steps.iter().map(|step| step.verdict.as_str()).collect();
    assert_eq!(verdicts, ["closed", "caller_unlisted"], "nothing foreign is told");
    assert_eq!(taken(&found, "101"), Err(Unrouted::NoRoute));
    let off = Number { active: false, ..number("100", Some("own")) };
    let off = table(vec![night, foreign], vec![off]);
    assert_eq!(taken(&off, "100"), Err(Unrouted::Inactive));
    assert_eq!(off.explain(&inquiry("100", "x")).steps[0].verdict, Verdict::Inactive);
}

/// Equals with weights share the calls as their weights say; without weight the first takes all.
#[test]
fn lots_follow_the_weights() {
    let weighted = |id, weight, name| Route {
        weight: Some(weight),
        ..route(id, Scope::Organisation, "*", name)
    };
    let found =
        table(vec![weighted(1, 3, "a"), weighted(2, 0, "none"), weighted(3, 1, "b")], vec![]);
    let mut counts = HashMap::new();
    for lot in 0..400 {
        let inquiry = Inquiry { lot, ..inquiry("1", "2") };
        *counts.entry(*found.decide(&inquiry).unwrap().treatment).or_insert(0) += 1;
    }
    assert_eq!(counts, HashMap::from([("a", 300), ("b", 100)]));
    let steps = found.explain(&Inquiry { lot: 3, ..inquiry("1", "2") }).steps;
    let verdicts: Vec<_> = steps.iter().map(|step| step.verdict).collect();
    assert_eq!(verdicts, [Verdict::NoWeight, Verdict::Lot, Verdict::Taken]);
    let first =
        table(vec![route(1, Scope::Organisation, "*", "first"), weighted(2, 9, "second")], vec![]);
    assert!((0..50).all(|lot| {
        *first.decide(&Inquiry { lot, ..inquiry("1", "2") }).unwrap().treatment == "first"
    }));
    let none = table(vec![weighted(1, 0, "none")], vec![]);
    assert_eq!(taken(&none, "1"), Err(Unrouted::Conditions));
}

/// A carrier's account leads to its line; the number tells among several.
#[test]
fn accounts_lead_to_lines() {
    let other = Uuid::from_u128(9);
    let mut builder = Builder::default();
    builder.account("acme", "A1", ORGANISATION, other);
    builder.account("acme", "A1", ORGANISATION, LINE);
    builder.number(number("+4930111", Some("own")));
    let table = builder.build();
    let line = |provider, account, called| {
        table.line(provider, account, &Called::new(called, None, None)).map(|(_, line)| line)
    };
    assert_eq!(line("acme", "A1", "+4930111"), Some(LINE));
    assert_eq!(line("acme", "A1", "+4930112"), Some(other));
    assert_eq!(line("acme", "A2", "+4930111"), None);
    assert_eq!(line("other", "A1", "+4930111"), None);
}

/// A table as one would write it without an index: every route is looked at.
fn slow<'t>(
    routes: &'t [Route<&'static str>],
    inquiry: &Inquiry<'_>,
) -> Option<&'t Route<&'static str>> {
    let fits = |route: &&Route<&'static str>| match route.scope {
        Scope::Organisation => true,
        Scope::Line(line) => inquiry.line == Some(line),
        Scope::Number(_) => false,
    };
    let rank = |route: &Route<&'static str>| match route.scope {
        Scope::Organisation => 1,
        _ => 0,
    };
    let fit = |route: &Route<&'static str>| {
        let mut users = inquiry.called.users();
        users.find_map(|user| route.to.fit(user))
    };
    let mut fitting: Vec<_> = routes
        .iter()
        .filter(fits)
        .filter_map(|route| Some((route.priority, rank(route), usize::MAX - fit(route)?, route)))
        .collect();
    fitting.sort_by_key(|(priority, rank, fit, _)| (*priority, *rank, *fit));
    let miss = |route: &Route<_>| route.conditions.miss(inquiry.caller, inquiry.at);
    fitting.into_iter().map(|(.., route)| route).find(|route| miss(route).is_none())
}

prop_compose! {
    fn any_route()(
        to in "(\\+?[0-3]{1,3}\\*?|\\*)",
        line in 0..3_u128,
        priority in 99..101_u16,
        caller in prop::option::of("[0-3]{0,1}\\*"),
    ) -> (String, u128, u16, Option<String>) {
        (to, line, priority, caller)
    }
}

proptest! {
    /// The index finds what looking at every route finds, and the explanation agrees with the
    /// decision and tells of every route once.
    #[test]
    fn index_agrees_with_a_walk(
        written in prop::collection::vec(any_route(), 0..40),
        called in "\\+?[0-3]{1,4}",
        caller in "[0-3]{1,2}",
    ) {
        let routes: Vec<_> = written.iter().zip(100..).map(|((to, line, priority, caller), id)| {
            let scope = match line {
                0 => Scope::Organisation,
                line => Scope::Line(Uuid::from_u128(line + 1)),
            };
            let only = caller.iter().map(|caller| Pattern::parse(caller).unwrap()).collect();
            let callers = Callers { only, except: vec![] };
            let conditions = Conditions { schedule: None, callers };
            Route { priority: *priority, conditions, ..route(id, scope, to, "") }
        }).collect();
        let inquiry = inquiry(&called, &caller);
        let table = table(routes.clone(), vec![]);
        let found = table.decide(&inquiry).ok().and_then(|decision| decision.route);
        prop_assert_eq!(found, slow(&routes, &inquiry));
        let explained = table.explain(&inquiry);
        let mut ids: Vec<_> = explained.steps.iter().map(|step| step.route).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        prop_assert_eq!((count, ids.len()), (routes.len(), routes.len()));
        let is_taken = |step: &&Step| step.verdict == Verdict::Taken;
        let taken: Vec<_> = explained.steps.iter().filter(is_taken).collect();
        prop_assert_eq!(taken.first().map(|it| it.route), found.map(|it| it.id));
        prop_assert!(taken.len() <= 1);
    }
}

proptest! {
    /// Whatever is called, by whomever: there is a decision, and it is that of the explanation.
    #[test]
    fn anything_can_be_called(called in ".{0,40}", uri in ".{0,60}", caller in ".{0,20}") {
        let line = route(10, Scope::Line(LINE), "493*", "line");
        let routes = vec![line, route(11, Scope::Organisation, "*", "")];
        let table = table(routes, vec![number("+4930111", Some("own"))]);
        let called = Called::new(&called, Some(&uri), Some("DE"));
        let inquiry = Inquiry { called, caller: &caller, ..inquiry("", "") };
        let decided = table.decide(&inquiry).map(|decision| *decision.treatment);
        prop_assert!(decided.is_ok());
        prop_assert_eq!(decided, table.explain(&inquiry).decision.map(|it| *it.treatment));
    }
}

/// The lookup does not grow with the numbers: among 100,000 it takes as long as a few lookups in a
/// hash table of them.
#[test]
fn lookup_among_many_numbers() {
    const NUMBERS: u128 = 100_000;
    const BOUND: u32 = 150;
    let address = |at: u128| format!("+49301{at:07}");
    let mut builder = Builder::default();
    builder.route(route(1, Scope::Organisation, "*", "any"));
    builder.route(route(2, Scope::Line(LINE), "4930*", "line"));
    let mut plain = HashMap::new();
    for at in 0..NUMBERS {
        let number = number(&address(at), Some("own"));
        builder.number(Number { id: Uuid::from_u128(at), ..number });
        plain.insert(address(at), at);
    }
    let table = builder.build();
    let called: Vec<_> = (0..1000).map(|at| address(at * 97 % NUMBERS)).collect();
    let best = |run: &dyn Fn() -> usize| {
        let once = || {
            let began = Instant::now();
            assert_eq!(run(), called.len());
            began.elapsed()
        };
        (0..10).map(|_| once()).min().unwrap_or(Duration::MAX)
    };
    let floor = best(&|| called.iter().filter(|called| plain.contains_key(*called)).count());
    let at: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    let ours = best(&|| {
        let found = |called: &&String| {
            let called = Called::new(called, None, None);
            let (organisation, line) = (ORGANISATION, Some(LINE));
            let inquiry =
                Inquiry { organisation, line, trunk: None, called, caller: "+49", at, lot: 0 };
            table.decide(&inquiry).is_ok_and(|decision| *decision.treatment == "own")
        };
        called.iter().filter(found).count()
    });
    eprintln!("1000 decisions: {ours:?}, lookups in a hash table: {floor:?}");
    assert!(ours <= floor * BOUND, "{ours:?} for 1000, a hash table takes {floor:?}");
}
