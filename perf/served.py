"""Programs that are started for a measurement and ended by it: the server with its data in a folder of its
own, and others that answer telephones."""

import contextlib
import os
import subprocess
import tempfile
import time

from confirm import rss_kib

START_S, STOP_S = 30, 10
# Memory is steady if two readings so far apart are the same, or after so many of them.
STEADY_S, STEADY_READINGS_MAX = 0.5, 8
FIRST = ("nice", "-n", "-20")
KEY, LISTENS = "API key, shown only now: ", "talkpath listens: "


class Failed(Exception):
    """Nothing could be measured; says why."""


@contextlib.contextmanager
def running(command, is_ready, log, **settings):
    """A process, once it is ready and holds as much memory as it does without calls. `command` must not fork:
    what it begins with (nice, taskset, chroot) becomes the program. `log` is a file for what it says of errors."""
    with open(log, "w") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors,
                                   **{"stdout": subprocess.DEVNULL} | settings)
    try:
        until = time.monotonic() + START_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > until:
                with open(log, errors="replace") as errors:
                    raise Failed(f"{' '.join(command)} does not start: {errors.read()[-500:].strip()}")
            time.sleep(0.1)
        before = None
        for _ in range(STEADY_READINGS_MAX):
            if process.poll() is not None:
                raise Failed(f"{' '.join(command)} ended of itself: {process.returncode}")
            if before == (before := rss_kib(process.pid)):
                break
            time.sleep(STEADY_S)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def served(binary, more="", before=FIRST):
    """The server of perf/bench.toml and `more`, which starts for the first time: its process, and the key that it
    shows then."""
    with tempfile.TemporaryDirectory(prefix="talkpath-perf-") as folder:
        config, said = f"{folder}/server.toml", f"{folder}/said"
        with open("perf/bench.toml") as bench, open(config, "w") as file:
            file.write(f"{bench.read()}\n{more}")
        os.mkdir(f"{folder}/data")

        def lines():
            with open(said) as file:
                return file.read().splitlines()

        with open(said, "w") as out, running(
                [*before, binary, "serve", "--config", config],
                lambda: any(line.startswith(LISTENS) for line in lines()), f"{folder}/log",
                stdout=out, env=os.environ | {"TALKPATH_DATA_DIR": f"{folder}/data"}) as pid:
            yield pid, next(line.removeprefix(KEY) for line in lines() if line.startswith(KEY)).strip()
