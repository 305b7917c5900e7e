#!/usr/bin/env python3
"""Programs that answer telephones and say back what they hear, in one run: talkpath, the Asterisk that
tests/interop/asterisk/install puts into a folder (its application Echo), and any other by --also.

    sudo perf/echoes.py --calls 100 --secs 5 --rounds 3 \\
        --also "sipbot=5064=sipbot wait -a 127.0.0.1:5064 --username echo --echo --answer"

Each is pinned to one core, talkpath-perf to another; it places calls in PCMU whose packets are known
again by their content. A program is given as NAME=PORT=COMMAND; it must stay in the foreground. The
medians of the rounds are told, and how often a packet was missing or not the one that was sent.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from confirm import wait_for_sip

SERVER_CPU, GENERATOR_CPU = 0, 1
ASTERISK_PORT = 5062
SETTLE_S = 2

ASTERISK = {
    "asterisk.conf": """[directories]
astetcdir => {inside}/etc
astmoddir => {modules}
astvarlibdir => {inside}/lib
astdbdir => {inside}/lib
astkeydir => {inside}/lib
astdatadir => /usr/share/asterisk
astspooldir => {inside}/spool
astrundir => {inside}/run
astlogdir => {inside}/log
[options]
nocolor = yes
""",
    # What telephones need, and Echo.
    "modules.conf": """[modules]
autoload = no
""" + "".join(f"load = {name}.so\n" for name in (
        "res_sorcery_config", "res_sorcery_memory", "res_sorcery_astdb", "res_pjproject", "res_rtp_asterisk",
        "res_pjsip", "res_pjsip_session", "res_pjsip_sdp_rtp", "res_pjsip_endpoint_identifier_ip",
        "res_pjsip_outbound_registration", "res_pjsip_caller_id", "res_pjsip_nat", "chan_pjsip",
        "codec_ulaw", "pbx_config", "app_echo")),
    "pjsip.conf": """[transport]
type = transport
protocol = udp
bind = 127.0.0.1:{port}
[caller]
type = endpoint
context = calls
disallow = all
allow = ulaw
direct_media = no
rtp_symmetric = yes
media_address = 127.0.0.1
[caller]
type = identify
endpoint = caller
match = 127.0.0.1/32
""",
    "extensions.conf": """[calls]
exten => echo,1,Answer()
 same => n,Echo()
 same => n,Hangup()
""",
    "rtp.conf": "[general]\nrtpstart = 30000\nrtpend = 34999\n",
    "logger.conf": "[logfiles]\nmessages => warning,error\n",
}


def asterisk(root):
    """A folder of configuration within the root, and the command; none if no Asterisk is there."""
    if not os.path.exists(f"{root}/usr/sbin/asterisk") or os.geteuid() != 0:
        return None, None
    inside = f"/inst/echoes-{os.getpid()}"
    lib = next(folder for folder, _, files in os.walk(f"{root}/usr/lib") if "chan_pjsip.so" in files)
    for part in ("etc", "lib/keys", "spool", "run", "log"):
        os.makedirs(f"{root}{inside}/{part}")
    for name, text in ASTERISK.items():
        with open(f"{root}{inside}/etc/{name}", "w") as file:
            file.write(text.format(inside=inside, modules=lib.removeprefix(root), port=ASTERISK_PORT))
    return f"{root}{inside}", ["chroot", root, "/usr/sbin/asterisk", "-f", "-C", f"{inside}/etc/asterisk.conf"]


def measured(command, port, args):
    """What talkpath-perf says of one program that is started anew."""
    program = subprocess.Popen(["taskset", "-c", str(SERVER_CPU), *command],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_sip("127.0.0.1", port)
        time.sleep(SETTLE_S)
        told = subprocess.run(
            [f"{args.bin}/talkpath-perf", "calls", "--sip", f"127.0.0.1:{port}", "--to", "echo",
             "--calls", str(args.calls), "--rate", str(args.rate), "--secs", str(args.secs),
             "--watch", str(program.pid), "--server-cpu", str(SERVER_CPU), "--cpu", str(GENERATOR_CPU),
             "--nice", "-20", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        program.terminate()
        program.wait()
    if not told.stdout:
        sys.exit(f"{command[0]}: {told.stderr}")
    return json.loads(told.stdout)


def programs(args, folder, asterisk_command):
    config = os.path.join(folder, "server.toml")
    with open("perf/bench.toml") as bench, open(config, "w") as file:
        file.write(bench.read().replace("/tmp/talkpath-bench", folder))
    yield "talkpath", 5060, [f"{args.bin}/talkpath", "serve", "--config", config]
    if asterisk_command:
        yield "Asterisk, Echo()", ASTERISK_PORT, asterisk_command
    for one in args.also:
        name, port, command = one.split("=", 2)
        yield name, int(port), shlex.split(command)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", default="target/release")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--rate", type=int, default=20)
    parser.add_argument("--secs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--asterisk", default="/var/cache/talkpath/asterisk/root", metavar="ROOT")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=PORT=COMMAND")
    args = parser.parse_args()
    instance, command = asterisk(args.asterisk)
    if not command:
        print(f"left out: no Asterisk in {args.asterisk}, or not root", file=sys.stderr)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rounds = {}
            for _ in range(args.rounds):
                for name, port, program in programs(args, folder, command):
                    rounds.setdefault(name, []).append(measured(program, port, args))
    finally:
        if instance:
            shutil.rmtree(instance)
    print(f"{args.calls} calls, {args.rounds} rounds of {args.secs} s, all on one core; host steal up to "
          f"{max(max(one['cost']['host']['steal_pct']) for all in rounds.values() for one in all):.1f} %")
    print(f"{'program':<20} {'up':>5} {'CPU, % a call':>14} {'KiB a call':>11} {'echo p50':>10} {'p99':>10} us  lost, altered")
    for name, all in rounds.items():
        median = lambda value: statistics.median(value(one) for one in all)
        print(f"{name:<20} {median(lambda one: one['up']):>5.0f} "
              f"{median(lambda one: one['cost']['server_cpu_pct'] / max(one['up'], 1)):>14.3f} "
              f"{median(lambda one: one['cost']['kib_per_call']):>11.1f} "
              f"{median(lambda one: one['echo_us']['p50']):>10.0f} {median(lambda one: one['echo_us']['p99']):>10.0f}     "
              f"{sum(one['content']['lost'] for one in all)}, {sum(one['content']['altered'] for one in all)}")


if __name__ == "__main__":
    main()
