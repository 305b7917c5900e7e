#!/usr/bin/env python3
"""Whether web pages that are open cost the calls anything: measures the way of each packet to the
built-in echo and back without and with so many live pages open, in turns, and compares.

    talkpath serve --config perf/bench.toml > said &
    TALKPATH_KEY=tp_... perf/pages.py --pages 1 --calls 1000 --watch $! --server-cpu 0 --cpu 1 --nice -20

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
    """One run: how long packets took to the built-in echo and back, in microseconds."""
    command = [args.perf, "calls", "--to", "echo", "--calls", str(args.calls), "--rate", "200",
               "--secs", str(args.secs), "--retries", "0", "--json"]
    for name in ("watch", "server_cpu", "cpu", "nice"):
        value = getattr(args, name)
        if value is not None:
            command += ["--" + name.replace("_", "-"), str(value)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if not run.stdout.startswith("{"):
        sys.exit(f"nothing was measured: {run.stderr}")
    found = json.loads(run.stdout)
    if found["up"] != args.calls or found["content"]["lost"]:
        sys.exit(f"{found['up']} calls came up, {found['content']['lost']} packets were lost")
    # Who reads the pages is another process, and does not make the machine a noisy one.
    return {"p50_us": found["echo_us"]["p50"], "p99_us": found["echo_us"]["p99"],
            "p999_us": found["echo_us"]["p999"],
            "steal_pct": max(found["cost"]["host"]["steal_pct"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--perf", default="target/release/talkpath-perf")
    parser.add_argument("--http", default="127.0.0.1:8080")
    parser.add_argument("--key", default=os.environ.get("TALKPATH_KEY", ""))
    parser.add_argument("--pages", type=int, default=20, help="open at once (default 20)")
    parser.add_argument("--ask", action="append", default=[], metavar="PATH",
                        help="asked by each page once a second besides")
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--secs", type=int, default=20,
                        help="of each run: a single wait of some 60 ms moves the p99 of a run of 6 s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--watch", type=int, help="the server's process")
    parser.add_argument("--server-cpu", type=int, help="that it is pinned to")
    parser.add_argument("--cpu", type=int, help="that generator and pages are pinned to")
    parser.add_argument("--nice", type=int, help="of generator and server")
    args = parser.parse_args()
    if args.cpu is not None:
        os.sched_setaffinity(0, {args.cpu})
    # Whoever reads must not keep the generator from its time.
    os.nice(19)
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
        "p99_us_of_runs": [[round(run["p99_us"], 1) for run in runs] for runs in (without, with_pages)],
        "p999_us": [round(middle(runs, "p999_us"), 1) for runs in (without, with_pages)],
        "worst_steal_pct": max(run["steal_pct"] for run in without + with_pages),
        "page_requests": sum(page.asked for page in pages),
        "page_bytes": sum(page.read_bytes for page in pages),
        "page_events": sum(page.events for page in pages),
    }
    print(json.dumps(result))
    moved = p99[1] > p99[0] * RATIO_MAX and p99[1] - p99[0] > MORE_US_MAX
    sys.exit(2 if moved else 0)


if __name__ == "__main__":
    main()
