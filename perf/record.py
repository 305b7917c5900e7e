#!/usr/bin/env python3
"""Makes a record of this machine: runs the measurements one after the other, writes what each said into
perf/records/DATE-MACHINE, and draws how much of each bar was used (docs/images/bars.svg).

    sudo perf/record.py                          # all, half an hour on a machine that has nothing else to do
    sudo perf/record.py compare clock            # some, into today's record
    sudo perf/record.py knees                    # how many calls each way in holds, half an hour more (perf/knees.py)
    perf/record.py --draw perf/records/2026-...  # the picture alone

Core 0 is the server's, core 1 the generator's. A record says with which command and commit it was made,
on what, and each run's noise; a run that was not quiet is marked in it.
"""

import argparse
import contextlib
import datetime
import glob
import html
import json
import os
import platform
import re
import shlex
import subprocess
import sys

from served import Failed, served

SERVER = "target/release/talkpath serve --config perf/bench.toml"
PINNED = "--cpu 1 --server-cpu 0 --nice -20"
# What starts the server itself, of talkpath-perf.
HOSTED = {
    "compare": "compare --server '{server}' --agent bench --mux bench-mux --calls 500 --secs 5 --rounds 3",
    "line": "line --server '{server}' --calls 300 --secs 5 --rounds 2",
    "clock": "clock --server '{server}' --calls 100 --secs 5 --rounds 3",
    "first": "first --server '{server}' --calls 250 --rate 50 --secs 2",
    "relay": "relay --only legs --server '{server}' --calls 150 --secs 4 --rounds 2",
    "media": "media --server '{server}' --calls 40 --secs 4 --warm 1",
    "overload": "overload --server '{server}' --rate 50 --most 3000 --secs 10",
    "rivals": "rivals --server '{server}' --calls 12 --many 300 --secs 8",
    "open": "floor open --against udp --calls 500 --secs 5 --rounds 3",
    "shared": "floor shared --against udp --calls 500 --secs 5 --rounds 3",
    "uring": "floor uring --against udp --calls 500 --secs 5 --rounds 3",
}
# What measures a server that runs, of talkpath-perf.
WATCHED = {
    "setup-75": "setup --rate 75 --secs 60",
    "setup-1500": "setup --rate 1500 --secs 60",
    "barge": "barge --to bench --listen 127.0.0.1:9100 --trials 1000",
}
# From mouth to ear, through the built-in echo and through an agent that says back what it hears.
LATENCY = {name: f"talkpath bench latency {whom} --calls 50 --secs 20 --metrics http://127.0.0.1:8080/metrics" for name, whom in {
    "latency": "sip:echo@127.0.0.1 --plot docs/images/latency.svg",
    "latency-agent": "sip:bench@127.0.0.1 --with-agent 127.0.0.1:9100",
}.items()}
# What takes as long as all others together, and is made when it is named.
LONG = {
    "soak": "talkpath bench soak sip:echo@127.0.0.1 --calls 1250 --minutes 30 --rate 100 "
            "--plot docs/images/soak.svg",
}
# The same with pages open.
PAGES = {"pages": "perf/pages.py --perf {bin}/talkpath-perf --pages 1 --calls 1000 --secs 20 --rounds 3"}
# More and more calls until something gives, by each way that a call comes in.
CARRIERS = ("cloudonix", "exotel", "genesys", "plivo", "telnyx", "twilio", "vobiz", "vonage")
KNEES = {f"knee-{way}": f"talkpath bench density {target} --from 900 --grow-pct 30 --most 3000 --rate 200 --secs 4" for way, target in {
    "sip": "sip:echo@127.0.0.1 --plot docs/images/density.svg",
    "audiosocket": "audiosocket://127.0.0.1:9092",
    "pbx": "'ws://127.0.0.1:8080/api/v1/media?to=echo' --speaks pbx",
    **{carrier: f"--carrier {carrier}" for carrier in CARRIERS},
}.items()}
KNEE_S_MAX = 300
AUDIOSOCKET = '[audiosocket]\nlisten = "127.0.0.1:9092"\nto = "echo"\n'
BY_DEFAULT = HOSTED | WATCHED | PAGES | LATENCY
MEASUREMENTS = {name: f"talkpath-perf {line}" for name, line in (HOSTED | WATCHED).items()}
MEASUREMENTS |= PAGES | LATENCY | KNEES | LONG


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "virtual": os.path.exists("/sys/hypervisor")
            or "hypervisor" in open("/proc/cpuinfo").read()}


def wrapped(command, is_clean, result):
    """What was measured, with what a record says of it besides."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return {"command": command, "commit": commit, "at": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
            "machine": machine(), "clean": is_clean, "result": result}


def run(name, bin):
    """One measurement as its record; Failed if it could not be made."""
    line = MEASUREMENTS[name].format(server=SERVER, bin=bin)
    keys = {}
    with contextlib.ExitStack() as stack:
        if name not in HOSTED:
            more = AUDIOSOCKET if name == "knee-audiosocket" else ""
            pid, key = stack.enter_context(served(f"{bin}/talkpath", more))
            line += f" --watch {pid}"
            # Not on a command line, where everybody could read it.
            keys = {"TALKPATH_KEY": key, "TALKPATH_API_KEY": key}
        line += " --cpu 1" if name in LATENCY else f" {PINNED}"
        words = shlex.split(line)
        if not words[0].startswith("perf/"):
            words = [f"{bin}/{words[0]}", *words[1:], "--json"]
        try:
            told = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=os.environ | keys, timeout=KNEE_S_MAX if name in KNEES else None)
        except subprocess.TimeoutExpired:
            raise Failed(f"took more than {KNEE_S_MAX} s") from None
    if told.returncode not in (0, 2):
        raise Failed(told.stderr.strip())
    command = re.sub(r"--watch \d+", "--watch PID", line)
    return wrapped(command, told.returncode == 0, json.loads(told.stdout))


def today():
    """The folder of today's record of this machine."""
    cpu = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(.*?\)|CPU|Processor|@.*", "", machine()["cpu"]).lower()).strip("-")
    folder = f"perf/records/{datetime.date.today()}-{cpu}-{os.cpu_count()}"
    os.makedirs(folder, exist_ok=True)
    return folder


def keep(folder, name, record):
    with open(f"{folder}/{name}.json", "w") as file:
        json.dump(record, file, indent=1, ensure_ascii=False)
        file.write("\n")


def allowed(row):
    """The most that a row's bar allows, if it has one."""
    bar = row.get("bar") or ""
    number = float(found[0]) if (found := re.findall(r"[\d.]+", bar)) else None
    if number is None:
        return None
    if "×" in bar:
        return row["floor"] and row["floor"] * number
    return row["floor"] + number if "+" in bar else number


def bars(records):
    """What was measured, as (text, value, the most allowed, unit)."""
    for name in ("compare", "line", "clock"):
        for row in records.get(name, {}).get("result", {}).get("rows", []):
            if most := allowed(row):
                yield f"{name}: {row['what']}" if name != "compare" else row["what"], row["server"], most, row["unit"]
    if first := records.get("first"):
        yield "first audio of an agent, p95", first["result"]["first_audio_us"]["p95"], 10_000, "µs"
    if setup := records.get("setup-75"):
        trial = setup["result"][0] if isinstance(setup["result"], list) else setup["result"]
        yield "INVITE to 200 at 75/s, p95", trial["setup"]["invite_to_200_us"]["p95"], 500, "µs"
    if overload := records.get("overload"):
        yield "overload: lateness of the worst call, p99", overload["result"]["worst_call_p99_ms"], 20, "ms"
    for row in records.get("relay", {}).get("result", []):
        if row["rival_us"]:
            share = 0.25 if any(codec in row["name"] for codec in ("PCMA", "G722", "Opus")) else 0.5
            yield f"{row['name']}, CPU a packet", row["server_us"], row["rival_us"] * share, "µs"


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(folder, to):
    records = {os.path.basename(path)[:-5]: json.load(open(path)) for path in sorted(glob.glob(f"{folder}/*.json"))}
    rows = list(bars(records))
    if not rows:
        return print(f"{folder} has nothing that has a bar")
    # Half of the width is what is allowed; what needs more than twice that is cut.
    left, width, height, top = 330, 480, 22, 46
    text = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 170}" height="{top + height * len(rows) + 16}" '
            'font-family="system-ui, sans-serif" font-size="12">',
            "<style>text{fill:#333}.q{fill:#0e766e}.m{fill:#b42318}.g{fill:#8882}.l{stroke:#333}"
            "@media(prefers-color-scheme:dark){text{fill:#ddd}.q{fill:#3fb8ab}.m{fill:#f0766b}.l{stroke:#ddd}}</style>",
            f'<text x="{left}" y="16">How much of what is allowed was used; less is better</text>',
            f'<text x="{left + width / 2}" y="36" text-anchor="middle">allowed</text>']
    for index, (what, value, most, unit) in enumerate(rows):
        y = top + index * height
        used = value / most
        text += [f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{html.escape(what)}</text>',
                 f'<rect class="g" x="{left}" y="{y + 2}" width="{width}" height="{height - 6}" rx="3"/>',
                 f'<rect class="{"q" if used <= 1 else "m"}" x="{left}" y="{y + 2}" width="{min(used, 2) * width / 2:.1f}" '
                 f'height="{height - 6}" rx="3"/>',
                 f'<text x="{left + width + 8}" y="{y + 13}">{figure(value)} of {figure(most)} {html.escape(unit)}</text>']
    middle = left + width / 2
    text += [f'<line class="l" x1="{middle}" x2="{middle}" y1="40" y2="{top + height * len(rows)}"/>', "</svg>"]
    with open(to, "w") as file:
        file.write("\n".join(text) + "\n")
    print(f"{to}: {len(rows)} bars, {sum(value > most for _, value, most, _ in rows)} missed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("measurements", nargs="*", help=f"of: {', '.join(MEASUREMENTS)}; knees: all of those; "
                        f"by default all but those and {', '.join(LONG)}")
    parser.add_argument("--bin", default="target/release")
    parser.add_argument("--draw", metavar="FOLDER", help="draws a record, measures nothing")
    parser.add_argument("--to", default="docs/images/bars.svg")
    args = parser.parse_args()
    asked = [name for one in args.measurements for name in (KNEES if one == "knees" else [one])]
    if unknown := set(asked) - set(MEASUREMENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    folder = args.draw or today()
    for name in [] if args.draw else asked or BY_DEFAULT:
        print(name, flush=True)
        try:
            keep(folder, name, run(name, args.bin))
        except Failed as why:
            sys.exit(f"{name}: {why}")
    draw(folder, args.to)


if __name__ == "__main__":
    main()
