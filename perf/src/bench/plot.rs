//! Plots as SVG, alone or in an HTML page, without anything from elsewhere.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::{PerfError, Result};

/// Size of a panel, in pixels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 220.0;
/// Room for labels: left, right, top, bottom.
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 44.0;
/// Lines of the grid, about.
const GRID: f64 = 5.0;

const STYLE: &str = "<style>\
svg{font:12px system-ui,sans-serif;background:#fff;color:#1c2733}\
.t{font-size:14px;font-weight:600}text{fill:currentColor}.m{fill:#5b6b7b}\
.g{stroke:#dfe5ea;stroke-width:1}.b{fill:#2f6fdd}.l{fill:none;stroke:#2f6fdd;stroke-width:2}\
.k{stroke:#c2410c;stroke-width:1.5;stroke-dasharray:4 3}.kt{fill:#c2410c}\
@media(prefers-color-scheme:dark){svg{background:#12181f;color:#e6edf3}.m{fill:#93a4b5}\
.g{stroke:#27313c}.b{fill:#6ea2ff}.l{stroke:#6ea2ff}.k{stroke:#ff9b66}.kt{fill:#ff9b66}}</style>";

/// One panel.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_label: &'static str,
    pub(crate) y_label: &'static str,
    pub(crate) shape: Shape,
    /// Vertical marks with their names.
    pub(crate) marks: Vec<(f64, String)>,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Columns from one x to the next, each of a height.
    Columns(Vec<(f64, f64, f64)>),
    /// A line through points.
    Line(Vec<(f64, f64)>),
    /// Columns side by side, each with its name below it.
    Named(Vec<(String, f64)>),
}

/// Text inside an element or an attribute.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
        out
    })
}

/// A step of 1, 2 or 5 times a power of ten that divides `range` into about [`GRID`] parts.
fn step(range: f64) -> f64 {
    if range <= 0.0 || !range.is_finite() {
        return 1.0;
    }
    let rough = range / GRID;
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * power)
        .into_iter()
        .find(|s| *s >= rough)
        .unwrap_or(rough)
}

/// A number without digits that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".into() } else { text.into() }
}

/// From values to pixels.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
    down: f64,
}

impl Scale {
    fn of(panel: &Panel, down: f64) -> Self {
        let (mut xs, mut ys) = (Vec::new(), vec![0.0]);
        match &panel.shape {
            Shape::Columns(columns) => {
                for (from, to, height) in columns {
                    xs.extend([*from, *to]);
                    ys.push(*height);
                }
            }
            Shape::Line(points) => {
                for (x, y) in points {
                    xs.push(*x);
                    ys.push(*y);
                }
            }
            Shape::Named(columns) => {
                xs.extend([0.0, columns.len() as f64]);
                ys.extend(columns.iter().map(|(_, height)| *height));
            }
        }
        let least = |list: &[f64]| list.iter().copied().fold(f64::INFINITY, f64::min);
        let most = |list: &[f64]| list.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let span = |list: &[f64]| {
            let (low, high) = (least(list), most(list));
            match (low.is_finite(), high > low) {
                (true, true) => (low, high),
                (true, false) => (low - 0.5, low + 0.5),
                (false, _) => (0.0, 1.0),
            }
        };
        let (_, top) = span(&ys);
        let grid = step(top);
        Self { x: span(&xs), y: (0.0, (top / grid).ceil().max(1.0) * grid), down }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.y.0) / (self.y.1 - self.y.0);
        self.down + HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

fn axes(out: &mut String, panel: &Panel, scale: &Scale) {
    let (bottom, down) = (scale.y(scale.y.0), scale.down);
    let _ = write!(
        out,
        "<text class=\"t\" x=\"{LEFT}\" y=\"{:.1}\">{}</text>",
        down + 20.0,
        escape(&panel.title)
    );
    let _ = write!(
        out,
        "<text class=\"m\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <text class=\"m\" x=\"{LEFT}\" y=\"{:.1}\">{}</text>",
        WIDTH - RIGHT,
        bottom + 34.0,
        escape(panel.x_label),
        down + 35.0,
        escape(panel.y_label)
    );
    let grid = step(scale.y.1 - scale.y.0);
    let lines = ((scale.y.1 - scale.y.0) / grid).round() as u32;
    for line in 0..=lines {
        let value = scale.y.0 + f64::from(line) * grid;
        let y = scale.y(value);
        let _ = write!(
            out,
            "<line class=\"g\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"m\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            number(value)
        );
    }
    if matches!(panel.shape, Shape::Named(_)) {
        return;
    }
    let grid = step(scale.x.1 - scale.x.0);
    let mut value = (scale.x.0 / grid).ceil() * grid;
    while value <= scale.x.1 + grid * 1e-6 {
        let _ = write!(
            out,
            "<text class=\"m\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            scale.x(value),
            bottom + 16.0,
            number(value)
        );
        value += grid;
    }
}

fn draw(out: &mut String, panel: &Panel, down: f64) {
    let scale = Scale::of(panel, down);
    axes(out, panel, &scale);
    match &panel.shape {
        Shape::Columns(columns) => {
            for (from, to, height) in columns {
                let (x, y) = (scale.x(*from), scale.y(*height));
                let _ = write!(
                    out,
                    "<rect class=\"b\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" \
                     height=\"{:.1}\"/>",
                    (scale.x(*to) - x - 1.0).max(1.0),
                    scale.y(0.0) - y
                );
            }
        }
        Shape::Named(columns) => {
            for (place, (name, height)) in columns.iter().enumerate() {
                let (x, y) = (scale.x(place as f64), scale.y(*height));
                let (width, bottom) = (scale.x(place as f64 + 1.0) - x, scale.y(0.0));
                let _ = write!(
                    out,
                    "<rect class=\"b\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\
                     <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
                     <text class=\"m\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    x + width * 0.15,
                    width * 0.7,
                    bottom - y,
                    x + width / 2.0,
                    y - 4.0,
                    number(*height),
                    x + width / 2.0,
                    bottom + 16.0,
                    escape(name)
                );
            }
        }
        Shape::Line(points) => {
            let list: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{:.1},{:.1}", scale.x(*x), scale.y(*y)))
                .collect();
            let _ = write!(out, "<polyline class=\"l\" points=\"{}\"/>", list.join(" "));
            for (x, y) in points {
                let (x, y) = (scale.x(*x), scale.y(*y));
                let _ = write!(out, "<circle class=\"b\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
            }
        }
    }
    for (turn, (value, name)) in panel.marks.iter().enumerate() {
        if !(scale.x.0..=scale.x.1).contains(value) {
            continue;
        }
        let x = scale.x(*value);
        let (top, bottom) = (scale.y(scale.y.1), scale.y(0.0));
        let _ = write!(
            out,
            "<line class=\"k\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>\
             <text class=\"kt\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 4.0,
            top + 10.0 + 13.0 * (turn % 4) as f64,
            escape(name)
        );
    }
}

/// All panels, one below the other.
pub(crate) fn svg(panels: &[Panel]) -> String {
    let height = HEIGHT * panels.len().max(1) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">{STYLE}"
    );
    for (turn, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, HEIGHT * turn as f64);
    }
    out.push_str("</svg>\n");
    out
}

/// A page with the panels and the table of the result.
pub(crate) fn html(title: &str, panels: &[Panel], table: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{0}</title><style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;\
         max-width:60rem;padding:0 1rem}}pre{{overflow-x:auto}}svg{{max-width:100%;height:auto}}\
         @media(prefers-color-scheme:dark){{body{{background:#0c1117;color:#e6edf3}}}}</style>\
         <h1>{0}</h1>{1}<pre>{2}</pre></html>\n",
        escape(title),
        svg(panels),
        escape(table)
    )
}

/// Writes a plot where it is wanted; the name's end says which kind.
pub(crate) fn write(path: &Path, title: &str, panels: &[Panel], table: &str) -> Result<()> {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    let text = match end {
        "svg" => svg(panels),
        "html" => html(title, panels, table),
        _ => return Err(PerfError::Usage("a plot's name ends in .svg or .html".into())),
    };
    std::fs::write(path, text).map_err(PerfError::io(format!("writing {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(shape: Shape) -> Panel {
        let marks = vec![(2.0, "a <mark>".to_owned()), (99.0, "outside".to_owned())];
        Panel { title: "R&D".into(), x_label: "ms", y_label: "calls", shape, marks }
    }

    /// Columns and lines are drawn inside the panel, text is escaped, marks outside are left out.
    #[test]
    fn panels_are_drawn() {
        let text = svg(&[
            panel(Shape::Columns(vec![(1.0, 2.0, 5.0), (2.0, 4.0, 3.0)])),
            panel(Shape::Line(vec![(1.0, 5.0), (4.0, 9.0)])),
            panel(Shape::Line(vec![])),
            panel(Shape::Line(vec![(1.0, f64::NAN)])),
        ]);
        assert!(text.contains("R&amp;D") && text.contains("a &lt;mark&gt;"));
        assert!(!text.contains("outside") && !text.contains("<mark>"));
        assert_eq!((text.matches("<rect").count(), text.matches("<polyline").count()), (2, 3));
        let page = html("t", &[], "a < b");
        assert!(page.contains("a &lt; b") && page.ends_with("</html>\n"));
    }

    /// Steps are round, and numbers are short.
    #[test]
    fn steps_and_numbers() {
        for (range, wanted) in [(10.0, 2.0), (0.7, 0.2), (1_300.0, 500.0), (0.0, 1.0), (5.0, 1.0)] {
            assert!((step(range) - wanted).abs() < 1e-9, "{range}: {}", step(range));
        }
        assert_eq!(
            (number(2.0), number(0.25), number(-0.0)),
            ("2".into(), "0.25".into(), "0".into())
        );
    }
}
