#!/usr/bin/env python3
"""Programs that answer telephones and say back what they hear, by SIP and RTP, in one run: the server, the application
Echo of an Asterisk (tests/interop/asterisk/install), baresip with its module echo (Debian baresip-core), sipbot
(cargo install sipbot --no-default-features --root target/rivals), and any other by --also.

    sudo perf/echoes.py                                  # with 12 calls and with 100, into today's record
    sudo perf/echoes.py --calls 50 --only talkpath --only asterisk
    sudo perf/echoes.py --also "mine=5070=mine --listen 127.0.0.1:5070"

Each is started anew for each measurement, on core 0, before other processes; talkpath-perf is on core 1 and places
calls in PCMU, whose packets are known again by their content. What is told of more rounds than one are the medians,
and the sums of what was lost and altered. A program that is not installed is left out, and said to be; one that does
not take the calls is told as such. What is given by --also is NAME=PORT=COMMAND, stays in the foreground and is called
as "echo".

All of it happens in a network of its own, which has nothing but loopback: some bind the address of another interface
otherwise, whatever they are told.

Who decodes and mixes, as a telephone does, has more to do than who passes packets on: baresip is the former, Asterisk
the latter.
"""

import argparse
import contextlib
import glob
import json
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile

from record import keep, today, wrapped
from served import FIRST, Failed, running, served

PLACED = ("taskset", "-c", "0", *FIRST)
PORTS = {"talkpath": 5060, "asterisk": 5062, "sipbot": 5064, "baresip": 5066}
ASTERISK_RTP, BARESIP_RTP = (30_000, 34_998), (35_000, 39_998)
SIPBOT = "target/rivals/bin/sipbot"
FILES_MAX = 65_536
# Set for the process that is in a network of its own.
APART = "PERF_APART"
ASTERISK_CONFIG = "tests/interop/asterisk"
# Of the modules that the tests load: what telephones need, and Echo.
ASTERISK_MODULES = ("res_timing_", "res_sorcery_", "res_crypto", "codec_ulaw", "bridge_simple", "pbx_config",
                    "app_echo", "res_rtp_asterisk", "res_pjproject", "res_pjsip", "chan_pjsip")
ASTERISK_BARE = ("stasis", "features", "codecs", "cel", "ccss", "udptl", "manager")
BARESIP_MODULES = "/usr/lib/baresip/modules"
BARESIP_CONFIG = """poll_method epoll
sip_listen 127.0.0.1:{port}
net_interface 127.0.0.1
rtp_ports {first}-{last}
call_max_calls 4000
audio_source aubridge,echo
audio_player aubridge,echo
audio_buffer 20-160
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
module_path {modules}
module g711.so
module aubridge.so
module_tmp account.so
module_app echo.so
"""


class Missing(Exception):
    """A program is not installed; says what is wanted."""


def is_bound(port):
    """Whether somebody receives UDP at this port."""
    for family in ("udp", "udp6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{family}") as sockets:
            if any(line.split()[1].endswith(f":{port:04X}") for line in sockets.readlines()[1:]):
                return True
    return False


@contextlib.contextmanager
def listening(command, port, folder):
    """A program in the foreground that listens at this port for SIP: its process."""
    if is_bound(port):
        raise Failed(f"port {port} is taken")
    with running([*PLACED, *command], lambda: is_bound(port), f"{folder}/errors", cwd=folder) as pid:
        yield pid


@contextlib.contextmanager
def talkpath(args, folder):
    with served(os.path.abspath(f"{args.bin}/talkpath"), before=PLACED) as (pid, _):
        yield pid, "echo"


@contextlib.contextmanager
def asterisk(args, folder):
    """An instance of its own within the root, as the tests have it, with no more modules than are needed."""
    root, inside = args.asterisk.rstrip("/"), f"/inst/echoes-{os.getpid()}"
    if not os.path.exists(f"{root}/usr/sbin/asterisk"):
        raise Missing(f"there is no Asterisk in {root}: {ASTERISK_CONFIG}/install FOLDER")
    if os.geteuid() != 0:
        raise Missing("Asterisk is started by chroot, which takes root")
    found = [path for part in ("*/", "") for path in glob.glob(f"{root}/usr/lib/{part}asterisk/modules")]
    if not found:
        raise Missing(f"the Asterisk in {root} has no modules")
    modules = found[0]
    fields = {"INST": inside, "MODULES": modules.removeprefix(root), "SIP_PORT": PORTS["asterisk"], "CODECS": "ulaw",
              "SIP_PEER": "127.0.0.1:9", "RTP_FIRST": ASTERISK_RTP[0], "RTP_LAST": ASTERISK_RTP[1]}
    with open(f"{ASTERISK_CONFIG}/modules") as names:
        wanted = [name for name in names.read().split() if name.startswith(ASTERISK_MODULES)]
    loads = [f"load = {name}.so\n" for name in wanted if os.path.exists(f"{modules}/{name}.so")]
    texts = {f"{name}.conf": "[general]\n" for name in ASTERISK_BARE} | {"acl.conf": ""}
    for path in glob.glob(f"{ASTERISK_CONFIG}/*.conf"):
        with open(path) as file:
            texts[os.path.basename(path)] = file.read()
    texts |= {"modules.conf": "[modules]\nautoload = no\n" + "".join(loads), "http.conf": "[general]\nenabled = no\n"}
    try:
        for part in ("cache", "lib/keys", "spool/tmp", "run", "log", "etc"):
            os.makedirs(f"{root}{inside}/{part}")
        for name, text in texts.items():
            for field, value in fields.items():
                text = text.replace(f"@{field}@", str(value))
            with open(f"{root}{inside}/etc/{name}", "w") as file:
                file.write(text)
        own(f"{root}{inside}", root)
        command = ["chroot", "--userspec=asterisk:asterisk", root, "/usr/sbin/asterisk", "-f", "-C",
                   f"{inside}/etc/asterisk.conf"]
        with listening(command, PORTS["asterisk"], folder) as pid:
            # Extension 600 is Echo().
            yield pid, "600"
    finally:
        shutil.rmtree(f"{root}{inside}", ignore_errors=True)


def own(folder, root):
    """Gives a folder to the user that Asterisk runs as."""
    with open(f"{root}/etc/passwd") as users:
        user, group = next(line.split(":")[2:4] for line in users if line.startswith("asterisk:"))
    for path, _, files in os.walk(folder):
        for one in (path, *(os.path.join(path, name) for name in files)):
            os.chown(one, int(user), int(group))


@contextlib.contextmanager
def baresip(args, folder):
    if not shutil.which("baresip") or not os.path.exists(f"{BARESIP_MODULES}/echo.so"):
        raise Missing("there is no baresip with the module echo: apt-get install baresip-core")
    port, (first, last) = PORTS["baresip"], BARESIP_RTP
    with open(f"{folder}/config", "w") as file:
        file.write(BARESIP_CONFIG.format(port=port, first=first, last=last, modules=BARESIP_MODULES))
    with open(f"{folder}/accounts", "w") as file:
        file.write(f"<sip:echo@127.0.0.1:{port}>;regint=0;answermode=manual;audio_codecs=PCMU\n")
    with listening(["baresip", "-f", folder], port, folder) as pid:
        yield pid, "echo"


@contextlib.contextmanager
def sipbot(args, folder):
    program = shutil.which(SIPBOT) or shutil.which("sipbot")
    if not program:
        raise Missing("there is no sipbot: cargo install sipbot --no-default-features --root target/rivals")
    command = [os.path.abspath(program), "--external", "127.0.0.1", "wait", "--addr", f"127.0.0.1:{PORTS['sipbot']}",
               "--username", "echo", "--domain", "127.0.0.1", "--codecs", "pcmu", "--echo"]
    with listening(command, PORTS["sipbot"], folder) as pid:
        yield pid, "echo"


def other(text):
    """What --also gives: name, port, and how it is started."""
    name, port, command = text.split("=", 2)

    @contextlib.contextmanager
    def start(args, folder):
        words = shlex.split(command)
        program = shutil.which(words[0])
        if not program:
            raise Missing(f"there is no {words[0]}")
        with listening([os.path.abspath(program), *words[1:]], int(port), folder) as pid:
            yield pid, "echo"

    return name, int(port), start


def command(args, port, user, calls, pid):
    return (f"talkpath-perf calls --sip 127.0.0.1:{port} --to {user} --calls {calls} --rate {args.rate} "
            f"--secs {args.secs} --watch {pid} --server-cpu 0 --cpu 1 --nice -20")


def measure(args, port, start, calls):
    """What talkpath-perf says of one program that is started anew."""
    with tempfile.TemporaryDirectory(prefix="talkpath-perf-") as folder, start(args, folder) as (pid, user):
        words = command(args, port, user, calls, pid).split()
        told = subprocess.run([f"{args.bin}/{words[0]}", *words[1:], "--json"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if told.returncode not in (0, 2):
            raise Failed(told.stderr.strip())
        return json.loads(told.stdout)


def row(name, calls, reports):
    """The medians of what was said of one program with one number of calls."""
    def median(value):
        values = [found for report in reports if (found := value(report)) is not None]
        return statistics.median(values) if values else None

    return {
        "name": name, "calls": calls, "up": median(lambda one: one["up"]),
        "cpu_pct_per_call": median(lambda one: one["cost"]["server_cpu_pct"] / max(one["up"], 1)),
        "kib_per_call": median(lambda one: one["cost"]["kib_per_call"]),
        # Nothing came back as it was said: there is no time.
        "echo_p50_us": median(lambda one: one["echo_us"]["p50"] if one["echo_us"]["count"] else None),
        "echo_p99_us": median(lambda one: one["echo_us"]["p99"] if one["echo_us"]["count"] else None),
        "sent": sum(one["content"]["sent"] for one in reports), "lost": sum(one["content"]["lost"] for one in reports),
        "altered": sum(one["content"]["altered"] for one in reports),
        "quiet": all(one["cost"]["quiet"] for one in reports), "reports": reports,
    }


def versions(args):
    """What the programs say of their versions, those that are here and say it."""
    commands = {"talkpath": [f"{args.bin}/talkpath", "--version"],
                "asterisk": ["chroot", args.asterisk, "/usr/sbin/asterisk", "-V"],
                "baresip": ["dpkg-query", "-W", "-f", "${Version}", "baresip-core"],
                "sipbot": [SIPBOT if os.path.exists(SIPBOT) else "sipbot", "--version"]}
    told = {}
    for name, words in commands.items():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            told[name] = subprocess.run(words, capture_output=True, text=True, timeout=10).stdout.strip()
    return {name: text for name, text in told.items() if text}


def table(rows):
    def figure(value, form):
        return "-" if value is None else format(value, form)

    print(f"{'':<12} {'calls':>6} {'up':>5} {'CPU %/call':>11} {'echo p50':>9} {'p99 us':>9} {'KiB/call':>9} "
          f"{'sent':>8} {'lost':>7} {'altered':>8}")
    for one in rows:
        if "failed" in one:
            print(f"{one['name']:<12} {one['calls']:>6} not measured: {one['failed']}")
            continue
        print(f"{one['name']:<12} {one['calls']:>6} {one['up']:>5.0f} {one['cpu_pct_per_call']:>11.4f} "
              f"{figure(one['echo_p50_us'], '.0f'):>9} {figure(one['echo_p99_us'], '.0f'):>9} "
              f"{one['kib_per_call']:>9.1f} {one['sent']:>8} {one['lost']:>7} {one['altered']:>8}"
              f"{'' if one['quiet'] else '  not quiet'}")


def asked():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", default="target/release")
    parser.add_argument("--calls", type=int, action="append", help="may be given again (default: 12, then 100)")
    parser.add_argument("--rate", type=int, default=20, help="calls placed a second")
    parser.add_argument("--secs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--asterisk", default="/var/cache/talkpath/asterisk/root", metavar="ROOT")
    parser.add_argument("--only", action="append", metavar="NAME", help=f"of: {', '.join(PORTS)}; may be given again")
    parser.add_argument("--also", type=other, action="append", default=[], metavar="NAME=PORT=COMMAND")
    args = parser.parse_args()
    if unknown := set(args.only or ()) - set(PORTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return args


def apart():
    """Goes on in a network of its own, if this is not it already."""
    if os.environ.get(APART):
        return
    inside = 'ip link set lo up && exec "$0" "$@"'
    os.environ[APART] = "1"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", inside, sys.executable, *sys.argv])


def main():
    args = asked()
    apart()
    # Some open four files a call.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = FILES_MAX if most == resource.RLIM_INFINITY else min(most, FILES_MAX)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
    starts = {"talkpath": talkpath, "asterisk": asterisk, "sipbot": sipbot, "baresip": baresip}
    programs = [(name, PORTS[name], start) for name, start in starts.items() if name in (args.only or PORTS)]
    programs += args.also
    rows, missing = [], {}
    for calls in args.calls or [12, 100]:
        reports, failed = {}, {}
        for _ in range(args.rounds):
            for name, port, start in programs:
                if name in missing or name in failed:
                    continue
                print(f"{name}, {calls} calls", file=sys.stderr, flush=True)
                try:
                    reports.setdefault(name, []).append(measure(args, port, start, calls))
                except Missing as why:
                    missing[name] = str(why)
                except Failed as why:
                    failed[name] = str(why)
        rows += [{"name": name, "calls": calls, "failed": failed[name]} if name in failed
                 else row(name, calls, reports[name]) for name, *_ in programs if name not in missing]
    table(rows)
    for name, why in missing.items():
        print(f"{name} is left out: {why}")
    ours = [one for one in rows if one["name"] == "talkpath"]
    # Others need not be without fault.
    is_clean = all("failed" not in one and one["lost"] + one["altered"] == 0 for one in ours)
    said = command(args, "PORT", "USER", "N", "PID")
    result = {"rows": rows, "missing": missing, "versions": versions(args)}
    keep(today(), "echoes", wrapped(said, is_clean, result))
    sys.exit(0 if is_clean else 2)


if __name__ == "__main__":
    main()
