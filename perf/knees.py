#!/usr/bin/env python3
"""How many calls each way in holds, and what gives then: by SIP, by the media sockets of each carrier that can be
played, by AudioSocket and by the media WebSocket of a PBX; all to the built-in echo, the server started anew for each.

    sudo perf/knees.py                           # all, into today's record; up to five minutes each
    sudo perf/knees.py sip twilio                # some
    perf/knees.py --table perf/records/2026-...  # the table alone

A way that could not be measured is said so, and the others are measured all the same; then the exit code is 1.
"""

import argparse
import json
import os
import sys

from record import KNEES, keep, run, today
from served import Failed

WAYS = [name.removeprefix("knee-") for name in KNEES]


def row(way, record):
    """One line of the table: what the server took with the most calls that it held, and what gave beyond."""
    ramp = record["result"]
    held = [step for step in ramp["steps"] if step["calls"] == ramp["held"] and not step["broke"]]
    calls, why = ramp["gave"] or (None, ["the generator was late first"
                                         if any(step["own_fault"] for step in ramp["steps"]) else "nothing gave"])
    figures = f"{'-':>8} {'-':>8} {'-':>9} {'-':>9} {'-':>8}"
    if held:
        report = held[-1]["report"]
        cost, echo = report["cost"], report["echo_us"]
        figures = (f"{cost['server_cpu_pct']:>8.1f} {cost['server_cpu_pct_per_1000']:>8.1f} {echo['p50']:>9.0f} "
                   f"{echo['p99']:>9.0f} {cost['kib_per_call']:>8.1f}")
    at = f"{calls}: " if calls else ""
    return f"{way:<12} {ramp['held']:>6} {figures}  {at}{', '.join(why)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("ways", nargs="*", help=f"of: {', '.join(WAYS)}; all by default")
    parser.add_argument("--bin", default="target/release")
    parser.add_argument("--table", metavar="FOLDER", help="prints what a record has, measures nothing")
    args = parser.parse_args()
    if unknown := set(args.ways) - set(WAYS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    ways, folder, failed = args.ways or WAYS, args.table or today(), {}
    for way in [] if args.table else ways:
        print(way, file=sys.stderr, flush=True)
        try:
            keep(folder, f"knee-{way}", run(f"knee-{way}", args.bin))
        except Failed as why:
            failed[way] = str(why)
    print(f"{'':<12} {'held':>6} {'CPU %':>8} {'/1000':>8} {'echo p50':>9} {'p99 us':>9} {'KiB/call':>8}  gave at")
    for way in ways:
        path = f"{folder}/knee-{way}.json"
        if way in failed:
            print(f"{way:<12} not measured: {failed[way]}")
        elif os.path.exists(path):
            with open(path) as file:
                print(row(way, json.load(file)))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
