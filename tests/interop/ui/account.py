"""An account at a carrier that runs beside: tried, set up, its numbers taken over and pointed here;
what is deleted says before what goes with it."""

import re

from browser import Browser, expect, given

given = given()
browser = Browser(given)
page = browser.page()
browser.sign_in(page)
NUMBER = given["number"]

browser.go(page, f"connections/{given['id']}")
# What is left to do is done from here, and then the list is gone.
left = page.get_by_role("region", name="Left to do")
expect(left.locator("li:not(.done)")).to_have_count(1)
browser.judge(page, "a connection with something left to do")
browser.shot(page, "connection-left-to-do-desktop")
left.get_by_role("button", name="Do it").click()
expect(page.get_by_role("region", name="Settings")).to_be_visible()
expect(left).to_have_count(0)

# The credentials are tried, and what comes of it stays to be read.
page.get_by_role("button", name="Test credentials").click()
expect(page.locator(".notice.good")).to_contain_text("The credentials hold")
browser.shot(page, "connection-tried-desktop")

# A number goes, with what that means said before; and comes back from the carrier's list.
numbers = page.get_by_role("region", name="Numbers").first
numbers.get_by_role("button", name=f"Remove {NUMBER}").click()
dialog = page.get_by_role("dialog")
expect(dialog.get_by_role("listitem").first).to_contain_text("no longer answered")
browser.judge(page, "a number that goes")
dialog.get_by_role("button", name="Remove number").click()
expect(numbers).to_contain_text("No numbers yet")
expect(left).to_contain_text("blocks calls out")
numbers.get_by_role("button", name="Import from the carrier").click()
expect(dialog.get_by_role("checkbox").first).to_be_checked()
browser.judge(page, "numbers to import")
browser.shot(page, "import-desktop")
dialog.get_by_label(re.compile("^Let the carrier send their calls here")).check()
dialog.get_by_role("button", name="Import", exact=True).click()
expect(numbers).to_contain_text(NUMBER)
expect(page.locator(".toast.bad")).to_have_count(0)
# By hand it is pointed here at once, or it is said why not.
numbers.get_by_role("button", name=f"Remove {NUMBER}").click()
dialog.get_by_role("button", name="Remove number").click()
numbers.get_by_role("button", name="Add number").click()
dialog.get_by_label("Number", exact=True).fill(NUMBER)
pointed = dialog.get_by_role("switch", name="Let the carrier send its calls here")
expect(pointed).to_be_checked()
browser.judge(page, "a number to add")
browser.shot(page, "number-desktop")
with page.expect_response("**/bind") as bound:
    dialog.get_by_role("button", name="Add number").click()
assert bound.value.status == 204, bound.value.status
expect(page.get_by_text("The number is there.", exact=True)).to_be_visible()
expect(numbers).to_contain_text(NUMBER)

# It gets an agent, is what calls are placed from, and the carrier sends its calls here.
numbers.get_by_role("combobox", name=f"Agent of {NUMBER}").select_option(label="echo")
expect(page.get_by_text(f"Calls to {NUMBER} go to echo")).to_be_visible()
numbers.get_by_role("button", name=f"Place calls from {NUMBER}").click()
expect(numbers).to_contain_text("default caller")
numbers.get_by_role("button", name="Point here").click()
expect(page.get_by_text("The carrier sends its calls here now")).to_be_visible()

# Calls that name no connection go by it, and from its number.
browser.go(page, "connections")
if page.get_by_role("button", name="Make default").count():
    page.get_by_role("button", name="Make default").click()
expect(page.locator(".connection .badge").filter(has_text="default")).to_be_visible()
browser.go(page, "calls")
page.get_by_role("button", name="Place a call").click()
dialog = page.get_by_role("dialog", name="Place a call")
expect(dialog.get_by_role("combobox", name="By connection")).to_have_value(given["id"])
source = dialog.get_by_label(re.compile("^From"))
expect(source).to_have_attribute("placeholder", NUMBER)
offered = source.evaluate("(input) => Array.from(input.list.options, (one) => one.value)")
assert offered == [NUMBER], offered
browser.judge(page, "a call to be placed")
browser.shot(page, "place-call-desktop")
page.keyboard.press("Escape")

# The address that the carrier asks is copied whole.
browser.go(page, f"connections/{given['id']}")
page.get_by_role("button", name="Copy the webhook").click()
copied = page.evaluate("navigator.clipboard.readText()")
assert re.match(r"https?://[^/]+/api/v1/telephony/[^/]+/[^/]+/[\w-]{20,}", copied), "no webhook"

# What goes with a connection is said before; who cancels loses nothing, and goes on where they were.
given_up = page.get_by_role("button", name="Delete this connection")
given_up.click()
dialog = page.get_by_role("dialog")
for words in ("1 number is removed", NUMBER, "It is the default", "Records of calls stay"):
    expect(dialog).to_contain_text(words)
browser.judge(page, "a connection that goes")
browser.shot(page, "delete-connection-desktop")
dialog.get_by_role("button", name="Cancel").click()
expect(given_up).to_be_focused()
given_up.click()
dialog.get_by_role("button", name="Delete connection").click()
expect(page.get_by_text("No connections yet")).to_be_visible()
browser.end()
