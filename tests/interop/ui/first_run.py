"""From the sign-in to a completed call, and all pages: seen at two sizes, judged, signed out."""

import re

from browser import Browser, expect, given

PAGES = ["start", "live", "calls", "voicemails", "agents", "agents/new", "connections", "connections/new",
         "routes", "routes/new", "health", "keys", "webhooks", "audit"]

# What reaches beyond the window.
WIDE = """() => Array.from(document.querySelectorAll("main *"))
    .filter((element) => element.getBoundingClientRect().right > innerWidth)
    .slice(0, 5).map((element) => element.outerHTML.slice(0, 160))"""


def sign_in(browser):
    page = browser.page()
    page.goto(f"{browser.base}/")
    browser.judge(page, "sign-in")
    browser.shot(page, "sign-in-desktop")
    page.get_by_label("API key").fill("tp_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This key does not hold")
    browser.sign_in(page)
    # Who has had no call yet is shown how.
    expect(page).to_have_url(re.compile("#/start$"))
    return page


def csrf(browser, page):
    """A request of the session without its token is refused, and changes nothing."""
    status = page.evaluate("""async () => (await fetch("/api/v1/agents", {method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({name: "forged", kind: "builtin", builtin: "echo"})})).status""")
    assert status == 403, status
    browser.go(page, "agents")
    expect(page.get_by_text("forged")).to_have_count(0)


def agent(browser, page):
    browser.go(page, "agents/new")
    page.get_by_label("Built in").check()
    page.get_by_role("button", name="Add agent").click()
    expect(page.locator("[data-field=name] .wrong")).to_contain_text("This is needed")
    page.get_by_label("Name", exact=True).fill("parrot")
    page.get_by_role("button", name="Add agent").click()
    expect(page.locator("h1")).to_contain_text("parrot")
    page.get_by_role("button", name="Test the agent").click()
    expect(page.get_by_text("The agent answers")).to_be_visible()
    browser.shot(page, "agent-desktop")


def connection(browser, page):
    browser.go(page, "connections/new/sip_trunk?from=start")
    networks = page.locator("[data-field='inbound.networks']")
    networks.get_by_role("textbox").fill("not a network")
    page.get_by_role("button", name="Add connection").click()
    # What the server says is wrong stands beside its field.
    expect(networks.locator(".wrong")).to_be_visible()
    networks.get_by_role("textbox").fill("203.0.113.0/24")
    # A field that is there only while another has a value.
    targets = page.locator("[data-field='outbound.targets']")
    expect(targets).to_be_hidden()
    page.get_by_label("Place calls", exact=True).check()
    expect(targets).to_be_visible()
    page.get_by_label("Place calls", exact=True).uncheck()
    expect(targets).to_be_hidden()
    page.get_by_role("button", name="Add connection").click()
    expect(page).to_have_url(re.compile("#/start$"))


def park(browser, page):
    """A connection is taken out of service, says why, and comes back."""
    browser.go(page, "connections")
    page.locator(".connection a").first.click()
    page.get_by_role("button", name="Take out of service").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("Credit used up")
    dialog.get_by_role("button", name="Park").click()
    expect(page.get_by_text("This connection is parked")).to_be_visible()
    expect(page.get_by_text("Credit used up")).to_be_visible()
    page.get_by_role("button", name="Reactivate").click()
    expect(page.get_by_text("This connection is parked")).to_have_count(0)


def number(browser, page):
    browser.go(page, "start")
    page.get_by_role("button", name="Add a number").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Number").fill("030 123456")
    dialog.get_by_role("button", name="Add number").click()
    expect(dialog.locator("[data-field=address] .wrong")).to_be_visible()
    dialog.get_by_role("combobox", name="Country").select_option("DE")
    dialog.get_by_role("combobox", name="Agent").select_option(label="parrot")
    dialog.get_by_role("button", name="Add number").click()
    expect(dialog).to_have_count(0)


def call(browser, page):
    browser.go(page, "start")
    page.get_by_role("combobox", name="Agent to call").select_option("echo")
    page.get_by_role("button", name="Call from this browser").click()
    phone = page.get_by_label("Test phone")
    expect(phone.get_by_role("status")).to_contain_text("Talking")
    # The echo of what the fake microphone hears.
    browser.until(page, "Number(document.querySelector('.phone .theirs').ariaValueNow) > 20")
    browser.shot(page, "first-call-desktop")
    browser.judge(page, "first-call")
    phone.get_by_role("button", name="Hang up").click()
    expect(phone.get_by_text("The call is over")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Steps done")).to_have_attribute("aria-valuenow", "4")
    phone.get_by_role("link", name="See what happened").click()
    expect(page.locator("h1")).to_contain_text("Completed")
    browser.judge(page, "call")
    phone.get_by_role("button", name="Close the phone").click()


def each(browser):
    """Each page at both sizes, light and dark."""
    for size, dark in [("desktop", False), ("phone", False), ("desktop", True)]:
        page = browser.page(size, dark)
        browser.sign_in(page)
        ids = page.evaluate("""async () => {
            const ask = async (path) => (await fetch(`/api/v1/${path}`)).json();
            const found = async (path, name) => (await ask(path))[name][0].id;
            return [`agents/${await found("agents", "items")}`,
                `connections/${await found("organizations/telephony-configs", "configurations")}`,
                `calls/${await found("calls", "items")}`];
        }""")
        for place in [*PAGES, *ids, "connections/new/sip_trunk"]:
            browser.go(page, place)
            name = re.sub(r"[0-9a-f-]{36}", "one", place).replace("/", "-")
            browser.judge(page, f"{name} {size}")
            if not dark or place in ("live", "start"):
                browser.shot(page, f"{name}-{size}{'-dark' if dark else ''}")
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{name} at {size} is {wide} px too wide: {page.evaluate(WIDE)}"


def sign_out(page):
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    status = page.evaluate("async () => (await fetch('/api/v1/session')).status")
    assert status == 401, status


browser = Browser(given())
page = sign_in(browser)
browser.go(page, "start")
browser.shot(page, "first-run-desktop")
csrf(browser, page)
agent(browser, page)
connection(browser, page)
park(browser, page)
number(browser, page)
call(browser, page)
each(browser)
browser.go(page, "live")
sign_out(page)
browser.end()
