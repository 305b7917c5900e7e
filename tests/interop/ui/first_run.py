"""From the sign-in to a completed call, and all pages: seen at two sizes, judged, signed out."""

import re

from browser import PAGES, Browser, expect, given, ones

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


def cookie(page):
    """The session's cookie is out of reach for scripts and for other sites."""
    assert page.evaluate("document.cookie") == ""
    cookies = page.context.cookies()
    assert cookies and all(one["httpOnly"] and one["sameSite"] == "Strict" for one in cookies), cookies


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


def own_agent(browser, page):
    """An agent of the user's: what it speaks, in which form, how many calls; nobody is there yet."""
    browser.go(page, "agents/new")
    page.get_by_label("Name", exact=True).fill("own")
    page.get_by_label("URL").fill("ws://127.0.0.1:9/call")
    dialect = page.get_by_role("combobox", name="Dialect")
    assert dialect.locator("option").count() > 1
    page.get_by_role("combobox", name=re.compile("^Codec")).select_option("l16le")
    page.get_by_label(re.compile("^Rate")).fill("16000")
    page.get_by_label(re.compile("^Most calls")).fill("7")
    page.get_by_role("button", name="Add agent").click()
    expect(page.locator("h1")).to_contain_text("own")
    stored = page.evaluate("""async () => (await fetch(
        `/api/v1/agents/${location.hash.split("/").pop()}`)).json()""")
    assert stored["max_calls"] == 7, stored
    assert (stored["format"]["codec"], stored["format"]["rate_hz"]) == ("l16le", 16_000), stored
    page.get_by_role("button", name="Test the agent").click()
    expect(page.get_by_text("The agent does not answer")).to_be_visible()
    expect(page.locator(".handshake .bad")).to_have_count(1)
    browser.judge(page, "an agent that does not answer")
    browser.shot(page, "agent-away-desktop")


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


def trunk(browser, page):
    """A further peer within a connection, and its end."""
    browser.go(page, "connections")
    page.locator(".connection a").first.click()
    trunks = page.get_by_role("region", name="Trunks")
    trunks.get_by_role("button", name="Add trunk").click()
    dialog = page.get_by_role("dialog", name="Add a trunk")
    dialog.get_by_label("Name", exact=True).first.fill("Second peer")
    dialog.locator("[data-field='inbound.networks']").get_by_role("textbox").fill("198.51.100.9")
    browser.judge(page, "a trunk")
    browser.shot(page, "trunk-desktop")
    # What was typed is not lost by a click beside it.
    page.mouse.click(4, 4)
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Add trunk").click()
    expect(trunks).to_contain_text("Second peer")
    trunks.get_by_role("button", name="Delete Second peer").click()
    dialog = page.get_by_role("dialog", name="Delete Second peer?")
    expect(dialog).to_contain_text("Calls that live go on")
    dialog.get_by_role("button", name="Delete trunk").click()
    expect(trunks).to_contain_text("No trunks")
    # What the other side is to be told stands there ready.
    expect(page.get_by_role("region", name="SIP connectivity")).to_contain_text("Audio (RTP)")
    ready = page.get_by_role("region", name="Ready to paste")
    expect(ready).to_contain_text("type=endpoint")
    ready.get_by_role("button", name=re.compile("^Copy PJSIP")).click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"contact=sip:[^ ]+:\d+$", copied, re.MULTILINE), copied


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


def route(browser, page):
    """A rule that leads calls to an agent; an agent that it leads to is not deleted unawares."""
    browser.go(page, "routes/new")
    page.get_by_label("Calls to").fill("+4989*")
    page.get_by_role("combobox", name="Agent", exact=True).select_option(label="parrot")
    page.get_by_label("Open", exact=True).fill("mon-fri 25:00-26:00")
    page.get_by_role("button", name="Add route").click()
    expect(page.locator("[data-field='conditions.open'] .wrong")).to_be_visible()
    page.get_by_label("Open", exact=True).fill("mon-fri 09:00-17:30")
    page.get_by_role("button", name="Add route").click()
    row = page.get_by_role("row").filter(has_text="+4989*")
    expect(row).to_contain_text("mon-fri 09:00-17:30")
    expect(row).to_contain_text("parrot")
    browser.go(page, "agents")
    page.get_by_role("link", name="parrot").click()
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("must lead elsewhere first: +4989*")
    dialog.get_by_role("button", name="Cancel").click()


def webhook(browser, page):
    """A program of the user's that is told of events: its secret is shown once, and so is the one
    that it gets with another address."""
    browser.go(page, "webhooks")
    page.get_by_role("button", name="Subscribe").first.click()
    dialog = page.get_by_role("dialog", name="Subscribe to events")
    dialog.get_by_label("Address").fill("https://example.com/calls")
    dialog.get_by_role("switch", name="On").uncheck()
    dialog.get_by_role("button", name="Subscribe").click()
    page.get_by_role("dialog", name="Keep the secret").get_by_role("button", name="I have").click()
    expect(page.get_by_text("It is off")).to_be_visible()
    expect(page.get_by_text("Nothing was sent yet")).to_be_visible()
    edited = page.get_by_role("dialog", name="Edit the webhook")
    secret = page.get_by_role("dialog", name="Keep the secret")
    page.get_by_role("button", name="Edit", exact=True).click()
    edited.get_by_label("Address").fill("https://example.com/calls?line=1")
    expect(edited.get_by_role("switch", name="New secret")).not_to_be_checked()
    edited.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_contain_text("https://example.com/calls?line=1")
    expect(secret).to_have_count(0)
    page.get_by_role("button", name="Edit", exact=True).click()
    edited.get_by_label("Address").fill("https://example.org/calls")
    expect(edited.get_by_role("switch", name="New secret")).to_be_checked()
    browser.judge(page, "a webhook that is edited")
    edited.get_by_role("button", name="Save").click()
    expect(secret.locator("code")).to_contain_text("whsec_")
    secret.get_by_role("button", name="I have").click()
    expect(page.locator("h1")).to_contain_text("https://example.org/calls")


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
        for place in [*PAGES, *ones(page), "connections/new/sip_trunk"]:
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
cookie(page)
csrf(browser, page)
agent(browser, page)
own_agent(browser, page)
connection(browser, page)
park(browser, page)
trunk(browser, page)
number(browser, page)
route(browser, page)
call(browser, page)
webhook(browser, page)
each(browser)
browser.go(page, "live")
sign_out(page)
browser.end()
