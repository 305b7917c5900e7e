"""What pages make of answers that a server of a test gives late, seldom, or after hours."""

import io
import json
import math
import re
import struct
import time
import wave

from browser import PATIENCE_S, Browser, expect, given

CALL = "0190a0b0-0000-7000-8000-000000000001"
RATE_HZ = 8_000


def at(second):
    return f"2026-01-01T10:{second // 60:02}:{second % 60:02}.000Z"


def event(number, second, word, **data):
    return {"id": str(number), "type": f"call.{word}", "at": at(second), "call_id": CALL,
            "source": "node", "data": data}


def call(**other):
    """A call that rang for ten seconds and was over after a minute."""
    return {"id": CALL, "direction": "inbound", "state": "ended", "status": "completed",
            "from": "+15550001234", "to": "+15550005678", "trunk": None, "agent": "echo",
            "began_unix_ms": 1_767_261_600_000, "initiated_at": at(0), "answered_at": at(10),
            "ended_at": at(60), "duration_ms": 50_000, "cause": "normal", "ended_by": "caller",
            "billed_s": None, "cost": None, "cost_estimate": None, "quality": None, "stages": [],
            "is_incomplete": False, "node": None, **other}


def lists(page, name, items):
    """What a list of the call has."""
    page.route(f"**/api/v1/calls/{CALL}/{name}?*",
               lambda route: route.fulfill(json={"items": items, "next_cursor": None}))


def one(page, told, events):
    """There is a call of which this is told."""
    page.route(f"**/api/v1/calls/{CALL}", lambda route: route.fulfill(json=told))
    for name in ("quality", "speech", "messages", "transfers"):
        lists(page, name, [])
    lists(page, "events", events)


def sound(seconds):
    """A file in which the caller, on the left, is heard for as long, and nobody after that."""
    tone = [int(9_000 * math.sin(2 * math.pi * 440 * i / RATE_HZ)) for i in range(RATE_HZ * seconds)]
    heard = b"".join(struct.pack("<hh", sample, 0) for sample in tone)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(heard + bytes(4 * RATE_HZ))
    return file.getvalue()


def late_recording(browser):
    """Who spoke stands where it was said, also if the recording began half a minute after the
    answer."""
    page = browser.page()
    browser.sign_in(page)
    one(page, call(), [
        event(1, 0, "initiated"), event(2, 10, "answered"),
        event(3, 40, "recording", state="recording"), event(4, 45, "recording", state="paused"),
        event(5, 50, "recording", state="recording"), event(6, 60, "ended", cause="normal")])
    page.route(f"**/api/v1/calls/{CALL}/recording",
               lambda route: route.fulfill(body=sound(2), content_type="audio/wav"))
    browser.go(page, f"calls/{CALL}")
    spoken = page.get_by_role("list", name="Caller speaks").get_by_role("listitem").first
    expect(spoken).to_contain_text("The caller speaks")
    # Of sixty seconds it begins at the fortieth.
    left = float(spoken.evaluate("(block) => block.style.left").rstrip("%"))
    assert 65 < left < 69, left
    page.context.close()


def metrics(started_s, counts):
    """What a server tells that began then; `counts` are of frames up to 1 ms, 100 ms, and beyond."""
    bounds = ("0.001", "0.1", "+Inf")
    lines = [f"process_start_time_seconds {started_s}", 'talkpath_worker_calls{worker="0"} 0']
    for name in ("talkpath_frame_lateness_seconds", "talkpath_frame_added_seconds"):
        lines += [f'{name}_bucket{{le="{bound}",worker="0"}} {sum(counts[:i + 1])}'
                  for i, bound in enumerate(bounds)]
    return "\n".join([*lines, "# EOF", ""])


def restarted(browser):
    """A server that was started anew is told of as it is now; what is beyond all bounds says so."""
    page = browser.page()
    browser.sign_in(page)
    told = {"version": "1.1.1", "metrics": metrics(time.time() - 5 * 3_600, [1_000, 0, 0])}

    def server(route):
        route.fulfill(json={**route.fetch().json(), "version": told["version"]})

    page.route("**/api/v1/server", server)
    page.route("**/metrics", lambda route: route.fulfill(body=told["metrics"]))
    browser.go(page, "health")
    tiles = page.locator("#main .tile")
    late, added = (tiles.filter(has_text=name).locator(".tile-value")
                   for name in ("Lateness", "Time added"))
    about = page.get_by_role("region", name="This server")
    expect(late).to_have_text("1 ms")
    expect(about).to_contain_text("5.0 h")
    expect(about).to_contain_text("1.1.1")
    expect(page.locator("figure.chart").filter(has_text="Load")).to_be_visible()
    # Of the new one's frames one in a thousand was late, of those since the page was opened each.
    began_s = time.time() - 95
    told.update(version="2.2.2", metrics=metrics(began_s, [999, 1, 0]))
    expect(about).to_contain_text("2.2.2")
    expect(about).to_contain_text("2 min")
    expect(late).to_have_text("1 ms")
    expect(added).to_have_text("1 ms")
    told.update(metrics=metrics(began_s, [999, 1, 100_000]))
    expect(late).to_have_text("over 100 ms")
    expect(added).to_have_text("over 100 ms")
    chart = page.locator("figure.chart").filter(has_text="Lateness")
    expect(chart.locator("svg")).to_have_attribute("aria-label", re.compile("over 100 ms"))
    browser.judge(page, "health after a restart")
    browser.go(page, "live")
    expect(late).to_have_text("over 100 ms")
    expect(added).to_have_text("over 100 ms")
    page.context.close()


# A stream of events that tells what the test wants told, and no look every five seconds.
TOLD = """
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  readyState = 1;
  constructor(url) {
    super();
    if (url.includes("call_id=")) window.stream = this;
  }
  close() {}
};
const every = window.setInterval;
window.setInterval = (work, ms, ...more) => (ms === 5_000 ? 0 : every(work, ms, ...more));
"""
# Events, each in a frame of its own.
TELL = """async (times) => {
    for (let i = 0; i < times; i += 1) {
        window.stream.dispatchEvent(new MessageEvent("call.hold", {data: "{}", lastEventId: "1"}));
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
    }
}"""
# What a request takes that is sent although it should not be.
MOMENT_MS = 300


def until(page, holds):
    """Waits until something holds here."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        page.wait_for_timeout(50)


def overtaken(browser):
    """However many events come, a call is asked for once at a time, and once more behind that."""
    page = browser.page()
    page.add_init_script(TOLD)
    browser.sign_in(page)
    living = call(state="answered", status="in-progress", ended_at=None, cause=None, ended_by=None)
    one(page, living, [event(1, 0, "initiated"), event(2, 10, "answered")])
    # Asked for twice as the page opens: before it is shown, and when it begins to look.
    asked, held = [], []

    def answer(route):
        asked.append(route)
        if len(asked) > 1:
            held.append(route)
        else:
            route.fulfill(json=living)

    page.route(f"**/api/v1/calls/{CALL}", answer)
    browser.go(page, f"calls/{CALL}")
    until(page, lambda: len(held) == 1)
    page.evaluate(TELL, 4)
    page.wait_for_timeout(MOMENT_MS)
    assert len(held) == 1, held
    held[0].fulfill(json={**living, "agent": "earlier"})
    expect(page.locator(".page-head")).to_contain_text("agent earlier")
    until(page, lambda: len(held) == 2)
    held[1].fulfill(json={**living, "agent": "later"})
    expect(page.locator(".page-head")).to_contain_text("agent later")
    page.wait_for_timeout(MOMENT_MS)
    assert len(held) == 2, held
    page.context.close()


def paged(page, name, items):
    """What a list of the call has, page by page; the cursors that it was asked for with."""
    cursors = []

    def answer(route):
        cursor = route.request.url.partition("cursor=")[2]
        cursors.append(cursor)
        first = int(cursor or 0)
        last = first + 200
        route.fulfill(json={"items": items[first:last],
                            "next_cursor": str(last) if last < len(items) else None})

    page.route(f"**/api/v1/calls/{CALL}/{name}?*", answer)
    return cursors


def whole(browser):
    """Of lists of any length the last item is shown, and the file has all; one that lacks a part is
    not written. What a living call has told before is not read again for each event."""
    page = browser.page()
    page.add_init_script(TOLD)
    browser.sign_in(page)
    events = [event(number, 10 + number // 100, "play", id=str(number), state="done")
              for number in range(2_450)]
    one(page, call(state="answered", status="in-progress", ended_at=None, cause=None), [])
    cursors = paged(page, "events", events)
    browser.go(page, f"calls/{CALL}")
    listed = page.locator("ol.events > li")
    expect(listed).to_have_count(2_450)
    # Thirteen pages, and the last of them again when the page begins to look.
    until(page, lambda: len(cursors) == 14)
    events.append(event(2_450, 50, "play", id="last", state="done"))
    page.evaluate(TELL, 1)
    expect(listed).to_have_count(2_451)
    assert cursors[13:] == ["2400", "2400"], cursors
    messages = [{"at_unix_ms": 1_767_261_600_000 + number, "direction": "in", "from": "192.0.2.1:5060",
                 "to": "192.0.2.2:5060", "transport": "udp", "summary": "OPTIONS sip:a SIP/2.0",
                 "text": f"OPTIONS {number}"} for number in range(2_100)]
    paged(page, "messages", messages)
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    with open(download.value.path(), encoding="utf-8") as file:
        written = json.load(file)
    assert len(written["events"]) == 2_451 and written["events"][-1]["data"]["id"] == "last"
    assert len(written["messages"]) == 2_100, len(written["messages"])
    page.route(f"**/api/v1/calls/{CALL}/messages?*", lambda route: route.fulfill(
        status=503, content_type="application/problem+json",
        json={"type": "about:blank", "title": "The database is away", "status": 503,
              "detail": "Try again in a moment."}))
    page.get_by_role("button", name="JSON").click()
    expect(page.locator(".toast.bad")).to_contain_text("Try again in a moment")
    page.context.close()


def ending(browser):
    """A call that is about to be over lives: the filter finds it, and says what it looks for."""
    page = browser.page()
    browser.sign_in(page)
    almost = call(state="ending", ended_at=None, cause=None, ended_by=None)
    page.route("**/api/v1/calls?living=true*", lambda route: route.fulfill(
        json={"items": [almost], "next_cursor": None}))
    browser.go(page, "calls")
    page.get_by_role("combobox", name="State").select_option(label="Living")
    expect(page.get_by_role("row").filter(has_text="+15550001234")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/calls\?living=true$"))
    expect(page.get_by_role("combobox", name="State")).to_have_value("living")
    page.context.close()


# A browser without a microphone, which counts how often it was asked for one.
WITHOUT = """
window.asked = 0;
navigator.mediaDevices.getUserMedia = async () => {
  window.asked += 1;
  throw new DOMException("There is none", "NotFoundError");
};
"""


def again(browser):
    """Whoever called without a microphone calls again without one."""
    page = browser.page()
    page.add_init_script(WITHOUT)
    browser.sign_in(page)
    browser.go(page, "agents")
    page.locator("#side").get_by_role("button", name="Test call").click()
    phone = page.get_by_label("Test phone")
    phone.get_by_role("combobox").select_option("echo")
    phone.get_by_role("button", name="Call", exact=True).click()
    phone.get_by_role("button", name="Call without a microphone").click()
    expect(phone.get_by_role("status")).to_contain_text("Talking")
    phone.get_by_role("button", name="Hang up").click()
    phone.get_by_role("button", name="Call again").click()
    expect(phone.get_by_role("status")).to_contain_text("Talking")
    assert page.evaluate("window.asked") == 1
    phone.get_by_role("button", name="Hang up").click()
    expect(phone.get_by_text("The call is over")).to_be_visible()
    page.context.close()


browser = Browser(given())
late_recording(browser)
restarted(browser)
overtaken(browser)
whole(browser)
ending(browser)
again(browser)
browser.end()
