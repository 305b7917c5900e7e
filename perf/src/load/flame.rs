//! Where a process spends its time: its stacks, sampled by `perf record`, drawn as a flame graph.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::{PerfError, Result};

/// Samples a second of each thread that runs: no multiple of anything that happens in 20 ms.
const SAMPLES_HZ: u32 = 499;

/// Bytes of a stack that are taken along to be unwound.
const STACK_BYTES: u32 = 16_384;

/// First address of the kernel's half.
const KERNEL: u64 = 1 << 63;

/// Sizes of the drawing, in pixels.
const WIDTH: f64 = 1_400.0;
const ROW: f64 = 17.0;
const LETTER: f64 = 6.6;
const TOP: f64 = 40.0;

/// Narrower than this nothing is drawn, in pixels.
const NARROW: f64 = 0.6;

/// A recording under way.
pub(crate) struct Recorder {
    child: Child,
    data: PathBuf,
}

/// A function, and what it calls.
#[derive(Default)]
struct Frame {
    samples: u64,
    kernel: bool,
    callees: BTreeMap<String, Self>,
}

impl Recorder {
    /// Samples the process for so many seconds.
    pub(crate) fn start(pid: u32, secs: u64) -> Result<Self> {
        let name = format!("talkpath-flame-{}-{pid}.data", std::process::id());
        let data = std::env::temp_dir().join(name);
        let mut command = Command::new("perf");
        command.args(["record", "--quiet", "--event", "cpu-clock"]);
        command.args(["--freq", &SAMPLES_HZ.to_string(), "--pid", &pid.to_string()]);
        command.args(["--call-graph", &format!("dwarf,{STACK_BYTES}"), "--output"]);
        command.arg(&data).args(["sleep", &secs.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().map_err(PerfError::io("starting perf"))?;
        Ok(Self { child, data })
    }

    /// Waits for its end and draws what it took.
    pub(crate) fn draw(mut self, title: &str, to: &Path) -> Result<()> {
        let ended = self.child.wait()?;
        let mut command = Command::new("perf");
        command.args(["script", "--no-inline", "-F", "comm,ip,sym", "--input"]).arg(&self.data);
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
        let output = output.map_err(PerfError::io("reading what perf recorded"))?;
        // What could not be removed is a file in the system's folder for such.
        let _ = std::fs::remove_file(&self.data);
        let root = fold(&String::from_utf8_lossy(&output.stdout));
        if root.samples == 0 {
            return Err(PerfError::Peer(format!("perf took no samples: {ended}")));
        }
        std::fs::write(to, svg(title, &root)).map_err(PerfError::io(to.display().to_string()))
    }
}

/// The tree of what `perf script` prints: a line with the thread's name, one for each function with
/// its address, callee first, and an empty one.
fn fold(text: &str) -> Frame {
    let mut root = Frame::default();
    for sample in text.split("\n\n") {
        let mut lines = sample.lines().skip_while(|line| line.is_empty());
        let Some(thread) = lines.next().map(str::trim).filter(|name| !name.is_empty()) else {
            continue;
        };
        let stack: Vec<&str> = lines.collect();
        root.samples += 1;
        let mut at = root.callees.entry(thread.to_owned()).or_default();
        at.samples += 1;
        for line in stack.iter().rev() {
            let (address, name) = line.trim().split_once(' ').unwrap_or(("", line.trim()));
            let address = u64::from_str_radix(address, 16).unwrap_or(0);
            at = at.callees.entry(plain(name)).or_default();
            at.samples += 1;
            at.kernel = address >= KERNEL;
        }
    }
    root
}

/// A function's name without the hash behind it.
fn plain(name: &str) -> String {
    let hash = |text: &str| text.len() == 17 && text.starts_with('h');
    match name.trim().rsplit_once("::") {
        Some((path, last)) if hash(last) => path.to_owned(),
        _ => name.trim().to_owned(),
    }
}

fn depth(frame: &Frame) -> usize {
    1 + frame.callees.values().map(depth).max().unwrap_or(0)
}

/// The drawing: threads at the bottom, what they call above.
fn svg(title: &str, root: &Frame) -> String {
    let height = TOP + ROW * depth(root) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"monospace\" font-size=\"11\"><rect width=\"100%\" height=\"100%\" \
         fill=\"#fff\"/><text x=\"6\" y=\"18\">{} ({} samples at {SAMPLES_HZ} Hz; blue: the \
         kernel)</text>\n",
        escape(title),
        root.samples
    );
    let scale = WIDTH / root.samples.max(1) as f64;
    let mut x = 0.0;
    for (name, frame) in &root.callees {
        x += rect(&mut out, (name, frame), (x, height - ROW), (scale, root.samples));
    }
    out.push_str("</svg>\n");
    out
}

/// Draws a function and what it calls; how wide it is.
fn rect(
    out: &mut String,
    (name, frame): (&str, &Frame),
    (x, y): (f64, f64),
    (scale, all): (f64, u64),
) -> f64 {
    let width = frame.samples as f64 * scale;
    if width < NARROW {
        return width;
    }
    let colour = if frame.kernel { "#9cc3e6" } else { "#f5b97f" };
    let share = 100.0 * frame.samples as f64 / all as f64;
    let room = ((width - 4.0) / LETTER).max(0.0) as usize;
    let shown: String = if room < 3 { String::new() } else { name.chars().take(room).collect() };
    // A string takes whatever is written.
    let _ = writeln!(
        out,
        "<g><title>{0}: {share:.1} %</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{1:.0}\" fill=\"{colour}\" stroke=\"#fff\"/><text x=\"{2:.1}\" y=\"{3:.1}\">{4}\
         </text></g>",
        escape(name),
        ROW - 1.0,
        x + 2.0,
        y + 12.0,
        escape(&shown)
    );
    let mut at = x;
    for (name, callee) in &frame.callees {
        at += rect(out, (name, callee), (at, y - ROW), (scale, all));
    }
    width
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "media-0 \n\tffffffff81000000 tcp_sendmsg\n\t    55d0a0001000 \
        talkpath::workers::run::h0123456789abcdef\n\nmedia-0 \n\t    55d0a0001000 \
        talkpath::workers::run::h0123456789abcdef\n\nsip \n\t    55d0a0002000 core::ops<A>\n\n";

    /// Stacks that begin alike share what they have in common, and are drawn on top of it.
    #[test]
    fn stacks_are_folded_and_drawn() {
        let root = fold(SCRIPT);
        assert_eq!((root.samples, root.callees.len()), (3, 2));
        let run = &root.callees["media-0"].callees["talkpath::workers::run"];
        assert_eq!((run.samples, run.kernel), (2, false));
        assert!(run.callees["tcp_sendmsg"].kernel);
        let drawn = svg("a & b", &root);
        assert!(drawn.contains("a &amp; b") && drawn.contains("tcp_sendmsg: 33.3 %"));
        assert!(drawn.contains("core::ops&lt;A&gt;") && !drawn.contains("h0123456789abcdef"));
        assert_eq!(drawn.matches("<g>").count(), 5);
        assert_eq!(fold("").samples, 0);
    }
}
