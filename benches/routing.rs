//! Finding the agent of a call among 100,000 numbers, beside one lookup in a hash table of them.

#![allow(clippy::unwrap_used, missing_docs, reason = "benchmark")]

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use talkpath::routing::{
    Builder, Called, Conditions, Inquiry, Number, PRIORITY, Pattern, Route, Schedule, Scope,
};
use uuid::Uuid;

const NUMBERS: u128 = 100_000;
const LINE: Uuid = Uuid::from_u128(1);

fn address(at: u128) -> String {
    format!("+49301{at:07}")
}

fn lookup(criterion: &mut Criterion) {
    let mut builder = Builder::default();
    let schedule = Schedule::parse("Europe/Berlin", ["mon-fri 09:00-17:30"], []).unwrap();
    for id in 0..8 {
        builder.route(Route {
            id: Uuid::from_u128(id),
            organisation: LINE,
            scope: Scope::Organisation,
            to: Pattern::Any,
            priority: PRIORITY - 1,
            weight: None,
            conditions: Conditions { schedule: Some(schedule.clone()), ..Conditions::default() },
            treatment: (),
        });
    }
    let mut plain = HashMap::new();
    for at in 0..NUMBERS {
        let (id, address) = (Uuid::from_u128(at), address(at));
        plain.insert(address.clone(), id);
        let treatment = Some(());
        builder.number(Number {
            id,
            organisation: LINE,
            line: LINE,
            trunk: None,
            address,
            active: true,
            treatment,
        });
    }
    let table = builder.build();
    // A Sunday, so that every schedule is looked at and none is open.
    let at = "2026-06-07T12:00:00Z".parse().unwrap();
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 7_919) % NUMBERS;
        address(turn)
    };
    criterion.bench_function("routing/100k numbers, 8 schedules", |bench| {
        bench.iter(|| {
            let called = next();
            let called = Called::new(&called, None, Some("DE"));
            let inquiry = Inquiry {
                organisation: LINE,
                line: Some(LINE),
                trunk: None,
                called,
                caller: "+49",
                at,
                lot: 1,
            };
            black_box(table.decide(&inquiry).is_ok())
        });
    });
    criterion.bench_function("routing/floor: one hash lookup", |bench| {
        bench.iter(|| black_box(plain.get(&next())));
    });
}

criterion_group!(benches, lookup);
criterion_main!(benches);
