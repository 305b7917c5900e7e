#!/usr/bin/env python3
"""Whether web pages that are open cost the calls anything: measures from mouth to ear without and
with so many live pages open, in turns, and compares.

    talkpath serve --config perf/bench.toml > said &
    TALKPATH_KEY=tp_... perf/pages.py --talkpath target/release/talkpath --pages 20 --calls 500

A page is what the live page of a browser asks for: a stream of events, levels and quality each
second, the figures of the server every three seconds, the list every twenty; and each `--ask PATH`
once a second, such as /api/v1/calls?agent=agent-7 of a store with a million calls (examples/store_calls).
Exits with 2 if the p99 with pages is more than a tenth, and more than 100 µs, above the p99 without.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time

# What is asked for how often, in seconds, as in ui/pages/live.js.
EVERY_S = {"/api/v1/live": 1, "/metrics": 3, "/api/v1/calls?living=true&limit=200": 20}
RATIO_MAX = 1.1
MORE_US_MAX = 100


class Page(threading.Thread):
    """An open live page; `asked` and `read_bytes` are what it did."""

    def __init__(self, args):
        super().__init__(daemon=True)
        self.args, self.over = args, threading.Event()
        self.asked, self.read_bytes, self.events, self.failed = 0, 0, 0, None

    def ask(self, connection, path):
        headers = {"Authorization": f"Bearer {self.args.key}", "Accept-Encoding": "identity"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return answer

    def stream(self):
        connection = http.client.HTTPConnection(self.args.http, timeout=20)
        try:
            answer = self.ask(connection, "/api/v1/events?types=call.*")
            while not self.over.is_set():
                self.events += answer.readline().startswith(b"event:")
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            if not self.over.is_set():
                self.failed = error

    def run(self):
        threading.Thread(target=self.stream, daemon=True).start()
        connection = http.client.HTTPConnection(self.args.http, timeout=20)
        every_s = EVERY_S | dict.fromkeys(self.args.ask, 1)
        due = dict.fromkeys(every_s, time.monotonic())
        try:
            while not self.over.wait(max(0, min(due.values()) - time.monotonic())):
                path = min(due, key=due.get)
                due[path] += every_s[path]
                self.read_bytes += len(self.ask(connection, path).read())
                self.asked += 1
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            self.failed = error


def measure(args):
    """One run of the meter: the p99 of the way and what waits, in microseconds, and its words."""
    command = [args.talkpath, "bench", "latency", args.target, "--calls", str(args.calls),
               "--secs", str(args.secs), "--json"]
    if args.cpu is not None:
        command += ["--cpu", str(args.cpu)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if not run.stdout.startswith("{"):
        sys.exit(f"nothing was measured: {run.stderr}")
    found = json.loads(run.stdout)
    way = next(part for part in found["parts"] if "way" in part["what"])
    quiet = found["cost"]["quiet"]
    return {"p50_us": way["p50_ms"] * 1_000, "p99_us": way["p99_ms"] * 1_000,
            "chirps": found["chirps_found"], "broken": found["broken"], "quiet": quiet}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--talkpath", default="target/release/talkpath")
    parser.add_argument("--http", default="127.0.0.1:8080")
    parser.add_argument("--target", default="sip:echo@127.0.0.1")
    parser.add_argument("--key", default=os.environ.get("TALKPATH_KEY", ""))
    parser.add_argument("--pages", type=int, default=20, help="open at once (default 20)")
    parser.add_argument("--ask", action="append", default=[], metavar="PATH",
                        help="asked by each page once a second besides")
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--secs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", type=int, help="that the meter is pinned to")
    args = parser.parse_args()
    without, with_pages, pages = [], [], []
    for _ in range(args.rounds):
        without.append(measure(args))
        pages = [Page(args) for _ in range(args.pages)]
        for page in pages:
            page.start()
        with_pages.append(measure(args))
        for page in pages:
            page.over.set()
        failed = next((page.failed for page in pages if page.failed), None)
        if failed:
            sys.exit(f"a page got no answer: {failed}")
        time.sleep(1)
    middle = lambda runs, name: statistics.median(run[name] for run in runs)
    p99 = [middle(runs, "p99_us") for runs in (without, with_pages)]
    result = {
        "pages": args.pages, "calls": args.calls, "rounds": args.rounds,
        "p50_us": [round(middle(runs, "p50_us"), 1) for runs in (without, with_pages)],
        "p99_us": [round(value, 1) for value in p99], "ratio": round(p99[1] / max(p99[0], 1e-9), 3),
        "quiet": all(run["quiet"] for run in without + with_pages),
        "page_requests": sum(page.asked for page in pages),
        "page_bytes": sum(page.read_bytes for page in pages),
        "page_events": sum(page.events for page in pages),
    }
    print(json.dumps(result))
    moved = p99[1] > p99[0] * RATIO_MAX and p99[1] - p99[0] > MORE_US_MAX
    sys.exit(2 if moved else 0)


if __name__ == "__main__":
    main()
