#!/usr/bin/env python3
"""Holds what talkpath-perf says of one run against tools that are not ours: pidstat (CPU and memory
of the server's process) and tshark (delay and loss of every packet, by the capture's time stamps).

    sudo perf/confirm.py --calls 250 --secs 5

It starts target/release/talkpath, has talkpath-perf place calls to the built-in echo, and captures
the loopback device meanwhile. A packet is known again by its payload, which names call and number.
Both sides see the same packets, capturing included. Exits with 2 if they differ by more than a tenth
and 10 µs, or 2 KiB a call.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SERVER_PORTS_FROM = 20_000
RATIO_MAX, SLACK_US, SLACK_KIB = 1.1, 10, 2
RTP_HEADER_HEX = 24


def wait_for_sip(host, port, seconds=15):
    """Until the server answers OPTIONS."""
    ask = (f"OPTIONS sip:{host} SIP/2.0\r\nVia: SIP/2.0/UDP {host};rport;branch=z9hG4bKconfirm\r\n"
           f"Max-Forwards: 70\r\nFrom: <sip:confirm@{host}>;tag=c\r\nTo: <sip:{host}>\r\n"
           "Call-ID: confirm\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect((host, port))
        asker.settimeout(0.1)
        for _ in range(seconds * 10):
            try:
                asker.send(ask.encode())
                asker.recv(2048)
                return
            except OSError:
                time.sleep(0.1)
    sys.exit("the server does not start")


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def pidstat(lines, begin, end):
    """Medians of CPU (per cent of a core) and resident memory (KiB) between two times."""
    cpu, memory = [], []
    for line in lines.splitlines():
        words = line.split()
        if len(words) < 14 or not words[0].isdigit() or not begin + 1 <= int(words[0]) <= end:
            continue
        # Time UID PID %usr %system %guest %wait %CPU CPU minflt/s majflt/s VSZ RSS %MEM Command
        cpu.append(float(words[7]))
        memory.append(int(words[12]))
    return statistics.median(cpu), statistics.median(memory)


def tshark(capture):
    """Each packet's time from its way in to its way out, in microseconds, and how many never came out."""
    told = subprocess.run(["tshark", "-r", capture, "-T", "fields", "-e", "frame.time_epoch",
                           "-e", "udp.dstport", "-e", "udp.payload"],
                          capture_output=True, text=True, check=True).stdout
    sent, delays = {}, []
    for line in told.splitlines():
        when, port, payload = line.split("\t")
        # The fraction alone has nine digits: a float of the whole would be coarse.
        seconds, _, fraction = when.partition(".")
        now_ns = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
        audio = payload[RTP_HEADER_HEX:]
        if len(payload) != RTP_HEADER_HEX + 320:
            continue
        if int(port) >= SERVER_PORTS_FROM:
            sent[audio] = now_ns
        elif audio in sent:
            delays.append((now_ns - sent.pop(audio)) / 1_000)
    delays.sort()
    at = lambda part: delays[min(len(delays) - 1, int(len(delays) * part))]
    return {"packets": len(delays), "p50": at(0.5), "p99": at(0.99), "unanswered": len(sent)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", default="target/release")
    parser.add_argument("--calls", type=int, default=250)
    parser.add_argument("--secs", type=int, default=5)
    parser.add_argument("--rate", type=int, default=50)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        capture = os.path.join(folder, "calls.pcap")
        server = subprocess.Popen([f"{args.bin}/talkpath", "serve", "--config", "perf/bench.toml"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_sip("127.0.0.1", 5060)
            time.sleep(2)
            idle_kib = rss_kib(server.pid)
            watcher = subprocess.Popen(["pidstat", "-u", "-r", "-h", "-H", "-p", str(server.pid), "1"],
                                       stdout=subprocess.PIPE, text=True, env=os.environ | {"LC_ALL": "C"})
            generator = subprocess.Popen(
                [f"{args.bin}/talkpath-perf", "calls", "--to", "echo", "--calls", str(args.calls),
                 "--rate", str(args.rate), "--secs", str(args.secs), "--warm", "3", "--retries", "0",
                 "--watch", str(server.pid), "--server-cpu", "0", "--cpu", "1", "--nice", "-20",
                 "--json"], stdout=subprocess.PIPE, text=True)
            # Up and warm; the window that is measured lies within what is captured.
            time.sleep(args.calls / args.rate + 2)
            catcher = subprocess.Popen(["tshark", "-q", "-i", "lo", "-B", "64", "-f", "udp portrange 10000-29999",
                                        "-a", f"duration:{args.secs + 1}", "-w", capture],
                                       stderr=subprocess.DEVNULL)
            begin = time.time() + 1
            catcher.wait()
            ours = json.loads(generator.communicate()[0])
            watcher.terminate()
            watched = watcher.communicate()[0]
        finally:
            server.terminate()
            server.wait()
        theirs = tshark(capture)
    cpu, memory = pidstat(watched, begin, begin + args.secs)
    rows = [("CPU, % of a core", ours["cost"]["server_cpu_pct"], cpu, "pidstat", 1),
            ("memory, KiB a call", ours["cost"]["kib_per_call"], (memory - idle_kib) / args.calls,
             "pidstat", SLACK_KIB),
            ("echo p50, us", ours["echo_us"]["p50"], theirs["p50"], "tshark", SLACK_US),
            ("echo p99, us", ours["echo_us"]["p99"], theirs["p99"], "tshark", SLACK_US)]
    agree = True
    print(f"{args.calls} calls, {args.secs} s; talkpath-perf lost {ours['content']['lost']}, "
          f"tshark saw {theirs['packets']} packets, {theirs['unanswered']} under way at the end")
    for what, mine, other, tool, slack in rows:
        near = abs(mine - other) <= max(slack, (RATIO_MAX - 1) * max(mine, other))
        agree &= near
        print(f"{what:<22} {mine:>9.2f}   {tool} {other:>9.2f}   {'agrees' if near else 'DIFFERS'}")
    sys.exit(0 if agree else 2)


if __name__ == "__main__":
    main()
