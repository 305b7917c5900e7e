"""A browser that looks at the pages: Debian's Chromium, driven by playwright.

Whatever a page says is wrong is a failure: errors of scripts, violations of its policy. The program
that starts a script of these talks with it by lines: a script says `>> word` and waits for a line.
"""

import json
import pathlib
import sys
import time

import axe_core_python
from playwright.sync_api import expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
SIZES = {"desktop": (1360, 900), "phone": (390, 844)}
AXE = pathlib.Path(axe_core_python.__file__).with_name("axe.min.js").read_text()
# What a page reports of its policy reaches the console only where somebody looks.
WATCH = """
window.__violations = [];
addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""
# A policy for everybody's own pages, and colours that people tell apart: both are findings.
SERIOUS = ("serious", "critical")

# All pages, but those of one thing.
PAGES = ["start", "live", "calls", "queues", "voicemails", "agents", "agents/new", "connections", "connections/new", "routes",
         "routes/new", "health", "keys", "webhooks", "audit"]

# Browsers are slow where others work too.
PATIENCE_S = 30
expect.set_options(timeout=PATIENCE_S * 1_000)


def say(word):
    """Tells the program that began this, and waits for what it answers."""
    print(f">> {word}", flush=True)
    return sys.stdin.readline().strip()


class Browser:
    """One browser; `faults` is what its pages said was wrong."""

    def __init__(self, given):
        self.base = given["base"]
        self.key = given["key"]
        self.shots = pathlib.Path(given["shots"])
        self.shots.mkdir(parents=True, exist_ok=True)
        self.faults = []
        self.playwright = sync_playwright().start()
        self.chromium = self.playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--use-fake-device-for-media-stream",
                  "--use-fake-ui-for-media-stream", "--disable-gpu",
                  "--autoplay-policy=no-user-gesture-required"])

    def page(self, size="desktop", dark=False):
        width, height = SIZES[size]
        context = self.chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light", reduced_motion="reduce")
        context.grant_permissions(["microphone", "clipboard-read", "clipboard-write"],
                                  origin=self.base)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_S * 1_000)
        page.on("pageerror", lambda error: self.faults.append(f"{error}\n{error.stack}"))
        page.on("console", self.console)
        page.on("request", self.request)
        return page

    def request(self, request):
        """Pages load nothing from elsewhere: they work where there is no internet."""
        own = (f"{self.base}/", "data:", f"blob:{self.base}/")
        if not request.url.startswith(own):
            self.faults.append(f"asked elsewhere: {request.url}")

    def console(self, message):
        # A refusal of the API is an answer like others, and browsers list it.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def sign_in(self, page, key=None):
        page.goto(f"{self.base}/")
        page.get_by_label("API key").fill(key or self.key)
        page.get_by_role("button", name="Sign in").click()
        page.locator("#places").wait_for(state="attached")

    def go(self, page, place):
        """Goes to a page and waits until it is there."""
        page.goto(f"{self.base}/#/{place}")
        self.until(page, f"document.getElementById('main')?.dataset.page === {json.dumps(place.partition('?')[0])}"
                   " && !document.querySelector('.loading')")

    def until(self, page, script):
        """Waits until something holds; the policy forbids the pages to evaluate texts themselves."""
        end = time.monotonic() + PATIENCE_S
        while not page.evaluate(script):
            assert time.monotonic() < end, f"waited in vain for {script}"
            page.wait_for_timeout(50)

    def shot(self, page, name):
        page.screenshot(path=str(self.shots / f"{name}.png"), full_page=True)

    def view(self, page, name):
        """What one sees of a page without scrolling."""
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=str(self.shots / f"{name}.png"))

    def judge(self, page, name):
        """Nothing that keeps people out (axe-core), nothing against the policy."""
        found = page.evaluate(
            f"async () => {{ {AXE}; return (await axe.run(document, "
            "{resultTypes: ['violations']})).violations; }")
        serious = [
            f"{name}: {one['id']}: {one['help']}: "
            + "; ".join(node["html"][:200] + " " + node.get("failureSummary", "")[:300]
                        for node in one["nodes"][:3])
            for one in found if one["impact"] in SERIOUS]
        self.faults.extend(serious)
        self.faults.extend(f"{name}: {one}" for one in page.evaluate("window.__violations"))

    def end(self):
        self.chromium.close()
        self.playwright.stop()
        assert not self.faults, "\n".join(self.faults)


def ones(page):
    """A page of each kind of thing."""
    return page.evaluate("""async () => {
        const ask = async (path) => (await fetch(`/api/v1/${path}`)).json();
        const found = async (path, name) => (await ask(path))[name][0].id;
        return [`agents/${await found("agents", "items")}`,
            `connections/${await found("organizations/telephony-configs", "configurations")}`,
            `routes/${await found("routes", "routes")}`,
            `webhooks/${await found("webhooks", "items")}`,
            `calls/${await found("calls", "items")}`];
    }""")


def given():
    return json.loads(sys.argv[1])
