//! Values beside their floors, and whether they hold their bars.

use std::fmt::Write as _;

use serde::Serialize;

use crate::report::{self, LoadReport};

/// One line of the result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) floor: Option<f64>,
    pub(crate) server: f64,
    /// Server by floor.
    pub(crate) ratio: Option<f64>,
    pub(crate) bar: String,
    pub(crate) holds: Option<bool>,
}

/// The median over the quiet runs, or over all if none was.
pub(crate) fn median(runs: &[LoadReport], value: impl Fn(&LoadReport) -> f64) -> Option<f64> {
    let any_quiet = runs.iter().any(|run| run.cost.quiet);
    let used = runs.iter().filter(|run| run.cost.quiet || !any_quiet);
    report::median(used.map(value))
}

/// How a value is held against its floor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// At most so many times the floor.
    Times(f64),
    /// At most the floor and so much more.
    Plus(f64),
    /// At most this.
    Most(f64),
    /// For information.
    None,
}

/// A row; none if the server was not measured.
pub(crate) fn row(
    what: &str,
    unit: &'static str,
    floor: Option<f64>,
    server: Option<f64>,
    bar: Bar,
) -> Option<Row> {
    // A time of nothing is no time: the run it comes from is reported as not clean.
    let server = server.filter(|value| unit != "µs" || *value > 0.0)?;
    let (limit, bar) = match (bar, floor) {
        (Bar::Times(times), Some(floor)) => (Some(floor * times), format!("≤ {times} × floor")),
        (Bar::Plus(more), Some(floor)) => (Some(floor + more), format!("≤ floor + {more}")),
        (Bar::Most(most), _) => (Some(most), format!("≤ {most}")),
        _ => (None, String::new()),
    };
    let ratio = floor.filter(|floor| *floor > 0.0).map(|floor| server / floor);
    let holds = limit.map(|limit| server <= limit);
    Some(Row { what: what.to_owned(), unit, floor, server, ratio, bar, holds })
}

/// The rows as a table, and what the runs were like that they were made of.
pub(crate) fn table(rows: &[Row], runs: &[&LoadReport]) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    let mut text = format!(
        "{:<28} {:>9} {:>10} {:>10} {:>7}  {}\n",
        "", "unit", "floor", "server", "ratio", "bar"
    );
    for row in rows {
        let verdict = match row.holds {
            Some(true) => "holds",
            Some(false) => "MISSED",
            None => "",
        };
        let _ = writeln!(
            text,
            "{:<28} {:>9} {:>10} {:>10.2} {:>7}  {} {verdict}",
            row.what,
            row.unit,
            number(row.floor),
            row.server,
            number(row.ratio),
            row.bar
        );
    }
    let _ = writeln!(
        text,
        "{} runs, {} not quiet, {} not clean; worst steal by run {:?} %",
        runs.len(),
        runs.iter().filter(|run| !run.cost.quiet).count(),
        runs.iter().filter(|run| !run.clean()).count(),
        runs.iter().map(|run| run.cost.host.worst_steal_pct()).collect::<Vec<_>>()
    );
    for run in runs.iter().filter(|run| !run.clean()) {
        let _ = writeln!(text, "\nnot clean:\n{}", run.table());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bar is held against the floor as it says, and a missing side makes no row.
    #[test]
    fn bars() {
        let holds = |server, bar| row("x", "µs", Some(10.0), Some(server), bar)?.holds;
        assert_eq!(holds(13.0, Bar::Times(1.3)), Some(true));
        assert_eq!(holds(13.1, Bar::Times(1.3)), Some(false));
        assert_eq!(holds(15.0, Bar::Plus(5.0)), Some(true));
        assert_eq!(holds(15.1, Bar::Plus(5.0)), Some(false));
        assert_eq!(holds(16.1, Bar::Most(16.0)), Some(false));
        assert_eq!(holds(99.0, Bar::None), None);
        assert!(row("x", "µs", Some(1.0), None, Bar::None).is_none());
        let alone = row("x", "µs", None, Some(1.0), Bar::Times(2.0)).expect("row");
        assert_eq!((alone.holds, alone.ratio), (None, None));
    }
}
