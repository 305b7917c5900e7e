//! Fills a store with calls and measures how fast they are listed, filtered and shown.
//!
//! `cargo run --release --example store_calls -- [CALLS [FOLDER]]` makes a SQLite database with
//! that many calls, a million if nothing is said, and prints the percentiles of each question,
//! asked many times for calls and times all over the range. In a folder that is named it stays, as
//! the data of a server; otherwise it is in a temporary one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use adapters::agent::Direction;
use talkpath::calls::log::State;
use talkpath::store::calls::CallFilter;
use talkpath::store::{
    DatabaseUrl, OrganisationId, Query, SealSource, Store, StoreSettings, Timestamp,
};
use uuid::Uuid;

/// Calls if nothing is said.
const CALLS: i64 = 1_000_000;
/// Calls that are written in one transaction.
const CHUNK: i64 = 50_000;
/// How often each question is asked.
const ROUNDS: usize = 300;
/// Calls of a page.
const PAGE: u32 = 50;
/// The bar for the 95th percentile.
const BAR: Duration = Duration::from_millis(20);
/// When the first call began, and the time from one to the next, in microseconds.
const FIRST_US: i64 = 1_790_000_000_000_000;
const APART_US: i64 = 2_000_000;

/// Writes calls `$1` to `$2`: nine in ten of the organisation `$3`, most of them completed, one in
/// ten thousand still going on, from some ten thousand numbers to a hundred agents.
const FILL: &str = "WITH RECURSIVE n (i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) \
    INSERT INTO calls (id, organisation_id, direction, state, from_number, to_number, agent, \
    trunk, cause, ended_by, created_at, ringing_at, answered_at, ended_at, updated_at, \
    duration_ms, billed_s, variables, quality, is_incomplete) \
    SELECT randomblob(16), CASE WHEN i % 10 = 0 THEN x'00000000000000000000000000000001' ELSE $3 \
    END, CASE WHEN i % 3 = 0 THEN 'outbound' ELSE 'inbound' END, \
    CASE WHEN i % 10000 = 7 THEN 'in-progress' WHEN i % 20 = 1 THEN 'busy' \
    WHEN i % 20 = 2 THEN 'failed' ELSE 'completed' END, \
    '+4930' || (i * 7919 % 10007), '+4940' || (i * 104729 % 1009), 'agent-' || (i % 101), \
    'trunk-' || (i % 7), 'normal', 'caller', $4 + i * $5, $4 + i * $5 + 1000000, \
    $4 + i * $5 + 3000000, CASE WHEN i % 10000 = 7 THEN NULL ELSE $4 + i * $5 + 63000000 END, \
    $4 + i * $5 + 63000000, 60000, 60, '{\"customer\":\"' || i || '\"}', NULL, 0 FROM n";

/// Numbers that are the same at each run.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: i64) -> i64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap() % end
    }
}

#[tokio::main]
async fn main() {
    let calls = std::env::args().nth(1).map_or(CALLS, |text| text.parse().unwrap());
    let kept = std::env::args_os().nth(2).map(PathBuf::from);
    let temporary = || std::env::temp_dir().join(format!("talkpath-calls-{}", std::process::id()));
    let folder = kept.clone().unwrap_or_else(temporary);
    std::fs::create_dir_all(&folder).unwrap();
    let settings = StoreSettings {
        url: DatabaseUrl::Sqlite(folder.join("talkpath.db")),
        seal: SealSource::Own(folder.join("seal.keys")),
    };
    let began = Instant::now();
    let store = Store::open(&settings).await.unwrap();
    println!("opened and made the tables in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    let ours = store.default_organisation();
    let began = Instant::now();
    fill(&store, ours, calls).await;
    let size = std::fs::metadata(folder.join("talkpath.db")).unwrap().len() >> 20;
    println!("{calls} calls written in {:.1} s, {size} MiB", began.elapsed().as_secs_f64());
    let met = measure(&store, ours, calls).await;
    store.close().await;
    if kept.is_none() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    assert!(met, "a 95th percentile is over {BAR:?}");
}

async fn fill(store: &Store, ours: OrganisationId, calls: i64) {
    for first in (0..calls).step_by(usize::try_from(CHUNK).unwrap()) {
        let last = (first + CHUNK).min(calls) - 1;
        let query = Query::new(FILL).bind(first).bind(last).bind(ours).bind(FIRST_US);
        store.execute(query.bind(APART_US)).await.unwrap();
    }
}

/// A question: its name, and what is asked each time.
type Question = (&'static str, Box<dyn FnMut() -> CallFilter>);

/// What may be asked of the list.
fn questions(calls: i64) -> Vec<Question> {
    let any = CallFilter::default;
    let mut random = Random(1);
    let at = move || Timestamp(FIRST_US + random.below(calls) * APART_US);
    let mut pick = Random(2);
    let mut filters: Vec<Question> = Vec::new();
    filters.push(("latest", Box::new(any)));
    let mut until = at.clone();
    filters.push((
        "latest before a time",
        Box::new(move || CallFilter { until_time: Some(until()), ..any() }),
    ));
    for (name, state) in [
        ("state, frequent", State::Completed),
        ("state, one in twenty", State::Busy),
        ("state, rare", State::InProgress),
        ("state, none", State::Queued),
    ] {
        filters.push((name, Box::new(move || CallFilter { states: vec![state], ..any() })));
    }
    filters.push((
        "two states",
        Box::new(move || CallFilter { states: vec![State::Completed, State::Busy], ..any() }),
    ));
    filters.push(("living", Box::new(move || CallFilter { is_over: Some(false), ..any() })));
    filters.push((
        "direction",
        Box::new(move || CallFilter { direction: Some(Direction::Outbound), ..any() }),
    ));
    let from = move || Some(format!("+4930{}", pick.below(10_007)));
    let mut one = from.clone();
    filters.push(("calling number", Box::new(move || CallFilter { from: one(), ..any() })));
    let mut pick = Random(3);
    let to = move || Some(format!("+4940{}", pick.below(1_009)));
    let mut one = to.clone();
    filters.push(("called number", Box::new(move || CallFilter { to: one(), ..any() })));
    let (mut one, mut other) = (from, to);
    filters
        .push(("both numbers", Box::new(move || CallFilter { from: one(), to: other(), ..any() })));
    let mut pick = Random(4);
    let agent = move || Some(format!("agent-{}", pick.below(101)));
    let mut one = agent.clone();
    filters.push(("agent", Box::new(move || CallFilter { agent: one(), ..any() })));
    let (mut one, mut time) = (agent, at);
    filters.push((
        "agent and state, before a time",
        Box::new(move || CallFilter {
            agent: one(),
            states: vec![State::Failed],
            until_time: Some(time()),
            ..any()
        }),
    ));
    filters
}

/// Asks each question and prints its percentiles. False if one is too slow.
async fn measure(store: &Store, ours: OrganisationId, calls: i64) -> bool {
    println!("{:<32} {:>9} {:>9} {:>9}", "question", "p50 ms", "p95 ms", "max ms");
    let mut met = true;
    let mut ids: Vec<Uuid> = Vec::new();
    for (name, filter) in &mut questions(calls) {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let filter = filter();
            let began = Instant::now();
            let found = store.calls(ours, &filter, PAGE).await.unwrap();
            times.push(began.elapsed());
            ids.extend(found.last().map(|call| call.id));
        }
        met &= told(name, times);
    }
    let end = Some(Timestamp(FIRST_US + calls * APART_US));
    let mut times = (Vec::new(), Vec::new(), Vec::new());
    for id in ids.iter().rev().take(ROUNDS * 4) {
        let began = Instant::now();
        store.call(ours, *id).await.unwrap();
        times.0.push(began.elapsed());
        let began = Instant::now();
        let filter = CallFilter { after: Some(*id), ..CallFilter::default() };
        store.calls(ours, &filter, PAGE).await.unwrap();
        times.1.push(began.elapsed());
        let began = Instant::now();
        let filter = CallFilter { until_time: end, ..filter };
        store.calls(ours, &filter, PAGE).await.unwrap();
        times.2.push(began.elapsed());
    }
    met &= told("detail", times.0);
    met &= told("next page", times.1);
    met & told("next page of a range", times.2)
}

fn told(name: &str, mut times: Vec<Duration>) -> bool {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{name:<32} {:>9.2} {:>9.2} {:>9.2}", ms(at(50)), ms(at(95)), ms(at(100)));
    at(95) <= BAR
}
