"""What pages say while there is nothing, while they wait, and when something fails."""

from browser import Browser, expect, given

# Each page, and what it says where nothing is there yet; none where something always is.
EMPTY = {
    "start": "Connect a carrier or trunk first",
    "live": "No call at the moment",
    "calls": "No calls yet",
    "agents": None,
    "agents/new": None,
    "connections": "No connections yet",
    "connections/new": None,
    "routes": None,
    "routes/new": None,
    "health": None,
    "keys": None,
    "webhooks": "Nobody is told yet",
    "audit": None,
}


def is_asked(url):
    """What a page asks for, but who is signed in."""
    return "/api/v1/" in url and "/session" not in url


def fails(route):
    route.fulfill(status=503, content_type="application/problem+json", json={
        "type": "about:blank", "title": "The database is away", "status": 503,
        "detail": "Try again in a moment."})


def empty(browser, page):
    for place, words in EMPTY.items():
        browser.go(page, place)
        if words:
            expect(page.get_by_role("main")).to_contain_text(words)


def waits(page, base, place):
    """Nothing is answered: the page says that it comes, and comes when it is."""
    held, holds = [], True
    page.goto(f"{base}/#/{place}")
    page.route(is_asked, lambda route: held.append(route) if holds else route.continue_())
    page.reload()
    expect(page.locator("main .loading")).to_be_visible()
    holds = False
    for route in held:
        route.continue_()
    page.unroute(is_asked)
    expect(page.locator("main .loading")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def refuses(browser, page, place):
    """The server refuses: the page says what, and is there once it does not."""
    page.route(is_asked, fails)
    page.goto(f"{browser.base}/#/{place}")
    page.reload()
    alert = page.get_by_role("main").get_by_role("alert")
    expect(alert).to_contain_text("The database is away")
    browser.judge(page, f"{place} that fails")
    if place == "live":
        browser.shot(page, "failed-desktop")
    page.unroute(is_asked)
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_have_count(0)
    browser.until(page, "document.getElementById('main').dataset.page !== undefined")


def gone(browser, page):
    """A server that goes away is told of where it was watched, and so is that it is back."""
    browser.go(page, "health")
    for title in ("Calls", "Load", "Refused"):
        expect(page.locator("figure.chart").filter(has_text=title).first).to_be_visible()
    # By the clock, from left to right.
    times = page.locator(".chart-axis span").all_inner_texts()
    assert len(times) > 1 and times == sorted(times) and all(":" in one for one in times), times
    chart = page.locator("figure.chart svg").first
    chart.focus()
    page.keyboard.press("End")
    expect(page.locator(".chart-at").first).to_contain_text("at ")
    browser.judge(page, "health with curves")
    browser.shot(page, "health-curves-desktop")
    page.route("**/metrics", lambda route: route.abort())
    expect(page.get_by_text("The server cannot be reached")).to_be_visible()
    expect(page.get_by_text("These figures are of")).to_be_visible()
    browser.judge(page, "health of a server that is gone")
    browser.shot(page, "health-gone-desktop")
    page.unroute("**/metrics")
    expect(page.get_by_text("The server cannot be reached")).to_have_count(0)
    # The keyboard stays where it is while nothing happens.
    browser.go(page, "live")
    button = page.get_by_role("main").get_by_role("button", name="Test call")
    button.evaluate("(one) => { one.dataset.same = true; one.focus(); }")
    with page.expect_response("**/api/v1/live"):
        pass
    with page.expect_response("**/api/v1/live"):
        pass
    expect(button).to_be_focused()
    expect(button).to_have_attribute("data-same", "true")


# The address changes as the answer comes that says where a person who has just signed in is led to.
ELSEWHERE = """
const ask = window.fetch;
window.fetch = async (...one) => {
  const answer = await ask(...one);
  if (!String(one[0]).endsWith("calls?limit=1")) return answer;
  const read = answer.json.bind(answer);
  answer.json = async () => {
    const found = await read();
    location.hash = "#/health";
    return found;
  };
  return answer;
};
"""


def decided(browser):
    """Whoever goes on while the server finds the first page gets the page that they wanted."""
    page = browser.page()
    page.add_init_script(ELSEWHERE)
    browser.sign_in(page)
    browser.until(page, "document.getElementById('main').dataset.page === 'health'")
    page.context.close()


def unseen(browser, page):
    """A page that nobody looks at gives up its stream, of which there are few, and takes it again."""
    browser.go(page, "live")
    expect(page.locator(".link-state")).to_have_text("live")
    streams = "**/api/v1/events*"
    seen = """(hidden) => {
        Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with page.expect_event("requestfailed", lambda one: "/api/v1/events" in one.url):
        page.evaluate(seen, True)
    with page.expect_request(streams), page.expect_request("**/api/v1/calls?living=true*"):
        page.evaluate(seen, False)
    expect(page.locator(".link-state")).to_have_text("live")


# A page that was opened behind another, as by a middle click in a list.
BEHIND = """
Object.defineProperty(document, "hidden", {configurable: true, get: () => !window.isSeen});
"""
SEEN = """() => {
    window.isSeen = true;
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def behind(browser):
    """A page that was opened behind another has no stream until it is seen: browsers have six
    connections to a server for all their windows."""
    page = browser.page()
    page.add_init_script(BEHIND)
    asked = []
    page.on("request", lambda one: asked.append(one.url) if "/api/v1/events" in one.url else None)
    browser.sign_in(page)
    browser.go(page, "voicemails")
    browser.go(page, "live")
    assert not asked, asked
    with page.expect_request("**/api/v1/events*"):
        page.evaluate(SEEN)
    expect(page.locator(".link-state")).to_have_text("live")
    page.context.close()


def waiting(browser, page):
    """Queues are shown as they are, to whoever clicked into them or goes through them, too."""
    waited = [0]

    def queues(route):
        waited[0] += 60_000
        route.fulfill(json={"items": [{
            "name": "sales", "strategy": "in_order", "waiting": 1, "max_waiting": 9,
            "longest_wait_ms": waited[0], "served": 0, "abandoned": 0, "overflowed": 0,
            "members": [{"agent": "desk", "calls": 1, "max_calls": 1, "rests_ms": 0}],
            "calls": [{"id": "0190a0b0-0000-7000-8000-000000000001", "from": "+15550001234",
                       "position": 1, "waited_ms": waited[0], "offered_to": None}]}]})

    page.route("**/api/v1/queues", queues)
    page.route("**/api/v1/parked", lambda route: route.fulfill(json={"items": []}))
    browser.go(page, "queues")
    table = page.get_by_role("region", name="Who waits in sales")
    time = table.locator(".mono")
    table.get_by_text("waits", exact=True).click()
    expect(time).not_to_have_text(time.text_content())
    caller = table.get_by_role("link")
    caller.focus()
    expect(time).not_to_have_text(time.text_content())
    expect(caller).to_be_focused()
    # What is selected, to be copied, stays and is told to.
    caller.evaluate("(link) => getSelection().selectAllChildren(link)")
    expect(page.get_by_text("stands still while something is selected")).to_be_visible()
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.get_by_text("stands still while something is selected")).to_have_count(0)
    page.unroute("**/api/v1/queues")
    page.unroute("**/api/v1/parked")


def nobody(browser, page):
    """Where there is no agent, whatever needs one leads to where one is made."""
    none = lambda route: route.fulfill(json={"items": [], "next_cursor": None})
    page.route("**/api/v1/agents?*", none)
    browser.go(page, "calls")
    page.get_by_role("button", name="Place a call").click()
    dialog = page.get_by_role("dialog", name="Place a call")
    expect(dialog).to_contain_text("Nobody talks yet")
    browser.judge(page, "a call without an agent")
    dialog.get_by_role("link", name="Add an agent").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("New agent")
    expect(dialog).to_have_count(0)
    page.locator("#side").get_by_role("button", name="Test call").click()
    phone = page.get_by_label("Test phone")
    expect(phone).to_contain_text("Nobody talks yet")
    phone.get_by_role("button", name="Close the phone").focus()
    page.keyboard.press("Escape")
    expect(phone).to_have_count(0)
    expect(page.locator("#side").get_by_role("button", name="Test call")).to_be_focused()
    browser.go(page, "routes/new")
    expect(page.get_by_text("There is no agent yet")).to_be_visible()
    page.unroute("**/api/v1/agents?*")


browser = Browser(given())
page = browser.page()
browser.sign_in(page)
empty(browser, page)
decided(browser)
gone(browser, page)
unseen(browser, page)
behind(browser)
waiting(browser, page)
nobody(browser, page)
for place in EMPTY:
    waits(page, browser.base, place)
    refuses(browser, page, place)
browser.end()
