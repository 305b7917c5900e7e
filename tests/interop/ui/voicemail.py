"""Messages that callers have left: one comes by itself, is played, marked and deleted."""

import re

from browser import Browser, expect, given, say

given = given()
browser = Browser(given)
page = browser.page()
browser.sign_in(page)

# It comes while the page is open.
browser.go(page, "voicemails")
expect(page.get_by_text("Every message was heard")).to_be_visible()
browser.judge(page, "no message")
say("empty")
row = page.locator(".table-frame tbody tr")
state = row.locator(".badge")
expect(row).to_have_count(1)
expect(state).to_have_text("new")
expect(row).to_contain_text("+15550001234")
browser.judge(page, "a message")
browser.shot(page, "voicemail-desktop")
small = browser.page("phone")
browser.sign_in(small)
browser.go(small, "voicemails")
expect(small.locator("td audio")).to_be_visible()
browser.judge(small, "a message on a phone")
browser.shot(small, "voicemail-phone")

# What came while nobody looked is shown; nothing that somebody listens to is cut off for it.
LOOKS = """(looks) => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => !looks});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def looks_away():
    """The page gives up its stream."""
    with page.expect_event("requestfailed", lambda one: "/api/v1/events" in one.url):
        page.evaluate(LOOKS, False)


page.evaluate("""async () => {
    const player = document.querySelector("td audio");
    await player.play();
    while (player.currentTime === 0) await new Promise((done) => setTimeout(done, 10));
    player.pause();
}""")
looks_away()
page.evaluate(LOOKS, True)
show = page.get_by_role("button", name="Show them")
expect(show).to_be_visible()
assert page.evaluate("document.querySelector('td audio').currentTime") > 0
# It can be wound.
page.evaluate("""async () => {
    const player = document.querySelector("td audio");
    const wound = new Promise((done) => player.addEventListener("seeked", done, { once: true }));
    player.currentTime = 1.5;
    await wound;
}""")
assert page.evaluate("document.querySelector('td audio').currentTime") == 1.5
browser.judge(page, "a message that waits")
page.evaluate("document.querySelector('td audio').dataset.old = true")
show.click()
expect(show).to_have_count(0)
browser.until(page, "document.querySelector('td audio:not([data-old])') !== null")

# Who has played it to its end has heard it.
page.evaluate("document.querySelector('td audio').play()")
browser.until(page, "document.querySelector('td audio').ended")
assert 1.9 < page.evaluate("document.querySelector('td audio').duration") < 20
expect(state).to_have_text("heard")

only = lambda name: page.locator(".segments label", has_text=re.compile(f"^{name}$")).click()
only("Heard")
expect(row).to_have_count(1)
page.get_by_role("button", name="Not heard").click()
expect(page.get_by_text("No message was heard yet")).to_be_visible()
only("All")
expect(state).to_have_text("new")
page.get_by_role("button", name="Delete the message").click()
browser.judge(page, "a message to be deleted")
page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
expect(page.get_by_text("Nobody has left a message")).to_be_visible()
looks_away()
page.route("**/api/v1/voicemails*", lambda route: route.fulfill(json={"next_cursor": None, "items": [{
    "id": "0190a0b0-0000-7000-8000-000000000001", "call_id": "0190a0b0-0000-7000-8000-000000000002",
    "began_at": "2026-01-01T00:00:00.000Z", "from": "+15550004321", "to": "+15550000000",
    "duration_ms": 2_000, "heard": False}]}))
page.evaluate(LOOKS, True)
expect(row).to_contain_text("+15550004321")
browser.end()
