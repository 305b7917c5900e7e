"""The live page while calls run, and the pages of calls that went wrong."""

import re
import socket

from browser import Browser, expect, given, say

given = given()
browser = Browser(given)
page = browser.page()
browser.sign_in(page)

# A call of a foreign telephone appears by itself, is measured, and goes away.
browser.go(page, "live")
expect(page.get_by_text("No call at the moment")).to_be_visible()
say("empty")
row = page.locator(".live-row")
expect(row).to_have_count(1)
expect(row).to_contain_text("Talking")
expect(page.get_by_role("columnheader", name="Levels")).to_be_visible()
expect(row).to_contain_text(re.compile(r"0:0[1-9]"))
# Its sound is seen, both ways, and its quality.
browser.until(page, "Number(document.querySelector('.live-row .mine').ariaValueNow) > 10")
browser.until(page, "/^[34][.]/.test(document.querySelector('.live-row .num .badge').textContent)")
# Opened by keyboard; to whoever hears the page it is a link in a table. It is listened to while it speaks.
link = page.get_by_role("table", name="Living calls").get_by_role("link")
link.focus()
page.keyboard.press("Enter")
page.get_by_role("button", name="Listen in").click()
browser.until(page, "Number(document.querySelector('.listening .mine').ariaValueNow) > 10")
browser.shot(page, "call-living-desktop")
browser.judge(page, "a living call")
browser.go(page, "live")
expect(row).to_have_count(1)
browser.shot(page, "live-call-desktop")
browser.judge(page, "live with a call")
# How long it lasts is told right by a browser whose clock is ten minutes slow.
slow = browser.page()
slow.add_init_script("{ const now = Date.now; Date.now = () => now() - 600_000; }")
browser.sign_in(slow)
browser.go(slow, "live")
lasts = re.compile(r"^[0-4]:[0-5]\d$")
expect(slow.locator(".live-row .mono.num")).to_have_text(lasts)
slow.get_by_role("table", name="Living calls").get_by_role("link").click()
clock = slow.locator("[data-clock]")
first = clock.text_content()
expect(clock).not_to_have_text(first)
expect(clock).to_have_text(lasts)
slow.context.close()
# The load of the server is told beside.
expect(page.locator(".tile").filter(has_text="Load")).to_contain_text(re.compile(r"\d %"))
link.click()
expect(page.get_by_role("button", name="Listen in")).to_be_visible()
# A connection that is gone is told of, and heals by itself.
page.route("**/api/v1/events*", lambda route: route.abort())
page.reload()
expect(page.get_by_text("The connection to the server is gone")).to_be_visible()
page.unroute("**/api/v1/events*")
expect(page.get_by_text("The connection to the server is gone")).to_have_count(0)
# A recording that runs is paused, and goes on.
page.get_by_role("button", name="Record", exact=True).click()
page.get_by_role("button", name="Pause recording").click()
page.get_by_role("button", name="Resume recording").click()
expect(page.get_by_role("button", name="Pause recording")).to_be_visible()
# It is to be handed to somebody who never answers, and is taken back.
nobody = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
nobody.bind(("127.0.0.1", 0))
page.get_by_role("button", name="Transfer").click()
dialog = page.get_by_role("dialog", name="Transfer the caller")
other = dialog.locator("[data-field='options.call_id']")
expect(other).to_be_hidden()
dialog.get_by_role("radio", name=re.compile("^Attended")).check()
expect(other).to_contain_text("No other call is answered")
dialog.get_by_role("radio", name=re.compile("^Bridge")).check()
dialog.get_by_label("To", exact=True).fill(f"sip:nobody@127.0.0.1:{nobody.getsockname()[1]}")
browser.judge(page, "a transfer")
browser.shot(page, "transfer-desktop")
dialog.get_by_role("button", name="Transfer", exact=True).click()
handed = page.get_by_role("region", name="Transfers").first
handed.get_by_role("button", name="Give up").click()
expect(handed).to_contain_text("cancelled")
expect(handed.get_by_role("button", name="Give up")).to_have_count(0)
nobody.close()
page.get_by_role("button", name="Hang up").click()
page.get_by_role("dialog").get_by_role("button", name="Hang up").click()
expect(page.locator("h1")).to_contain_text("Completed")
browser.go(page, "live")
expect(page.get_by_text("No call at the moment")).to_be_visible()
say("over")

# Three packets in a hundred were lost.
lossy = say("lossy")
browser.go(page, f"calls/{lossy}")
loss = page.locator(".verdict[data-finding=loss]")
expect(loss).to_contain_text(re.compile(r"^[23][.]\d % of the caller's audio was lost"))
expect(loss).to_contain_text("What to do")
expect(page.locator(".verdict")).to_have_count(1)
# It was recorded and captured: both voices, who spoke when, and what was said over the wire.
expect(page.get_by_role("slider", name="Position in the recording")).to_be_visible()
expect(page.get_by_text("Caller speaks").first).to_be_visible()
expect(page.locator(".ladder summary").first).to_contain_text("INVITE")
expect(page.locator(".ladder")).to_contain_text("200 OK")
# How it fared over time, on an axis that says since when; read by keyboard too.
charts = page.get_by_role("group", name="Audio quality over the call")
for title in ("MOS", "Loss", "Jitter", "Queued for the caller", "Underruns"):
    expect(charts.locator("figure").filter(has_text=title)).to_be_visible()
expect(charts).to_contain_text("Time since the answer")
assert len(charts.locator(".chart-axis span").all_inner_texts()) > 2
charts.locator("svg").first.focus()
page.keyboard.press("End")
expect(charts.locator(".chart-at").first).to_contain_text(re.compile(r"at \d+ s, \d\d:\d\d:\d\d"))
with page.expect_download() as download:
    page.get_by_role("button", name="JSON").click()
assert download.value.suggested_filename == f"{lossy}.json"
with page.expect_download() as download:
    page.get_by_role("button", name="pcap").click()
assert open(download.value.path(), "rb").read(4) == b"\xd4\xc3\xb2\xa1"
browser.judge(page, "a call with loss")
browser.shot(page, "call-lossy-desktop")
browser.view(page, "call-lossy-view")

# The agent said nothing: told while the call lives, and afterwards.
silent = say("silent")
browser.go(page, "live")
expect(page.locator(".live-row.is-silent")).to_contain_text("The agent has said nothing")
browser.judge(page, "live with silence")
browser.go(page, f"calls/{silent}")
verdict = page.locator(".verdict[data-reason=agent_silent]")
expect(verdict).to_contain_text("The agent has said nothing")
expect(verdict).to_contain_text("What to do")
say("hang up")
expect(page.locator("h1")).to_contain_text("Completed")
expect(verdict).to_contain_text("to its end")
# Programs are told the same, in the same words.
told = page.evaluate("""async (id) => {
    const ask = async (path) => (await fetch(`/api/v1/calls/${id}${path}`)).json();
    const {items} = await ask("/events");
    return [(await ask("")).silences[0], items.find(({type}) => type === "call.silence").data];
}""", silent)
for one in told:
    assert one["reason"] == "agent_silent" and one["direction"] == "out", one
    expect(verdict).to_contain_text(one["meaning"])
    expect(verdict).to_contain_text(one["advice"])
expect(page.locator(".verdict[data-direction=in]")).to_have_count(0)
browser.judge(page, "a call with a silent agent")
# Whoever looks for it among all calls finds it.
browser.go(page, "calls")
expect(page.get_by_role("row").filter(has_text="+2555")).to_contain_text(re.compile(r"silent \d"))
browser.judge(page, "calls with a silent one")
browser.shot(page, "calls-silent-desktop")
browser.go(page, f"calls/{silent}")
browser.shot(page, "call-silent-desktop")
small = browser.page("phone")
browser.sign_in(small)
browser.go(small, f"calls/{silent}")
expect(small.locator(".verdict")).to_be_visible()
browser.shot(small, "call-silent-phone")
browser.go(small, f"calls/{lossy}")
expect(small.get_by_role("slider", name="Position in the recording")).to_be_visible()
browser.judge(small, "a call with loss on a phone")
browser.shot(small, "call-lossy-phone")

# What the agent said, and what of it was cut off, without any recording.
cut = say("cut")
browser.go(page, f"calls/{cut}")
ledger = page.get_by_role("region", name="Utterances")
expect(ledger).to_contain_text(re.compile(r"Cut off\s*1"))
ledger.get_by_text("One by one").click()
expect(ledger.get_by_role("listitem")).to_contain_text("story")
expect(ledger.get_by_role("listitem")).to_contain_text(re.compile(r"cut off: [12][.]\d s not heard"))
expect(page.get_by_title("The agent speaks: story")).to_be_visible()
browser.judge(page, "a call with an agent that was cut off")
browser.shot(page, "call-cut-desktop")
browser.go(small, f"calls/{cut}")
browser.shot(small, "call-cut-phone")
browser.end()
