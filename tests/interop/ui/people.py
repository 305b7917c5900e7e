"""People of all kinds: without a mouse, with a key that only reads, with the pages in a hand."""

import re

from browser import PAGES, Browser, expect, given, ones


def post(page, path, body):
    """Makes something over the API, as whoever is signed in."""
    status, made = page.evaluate("""async ([path, body]) => {
        const {csrf_token: token} = await (await fetch("/api/v1/session")).json();
        const made = await fetch(`/api/v1/${path}`, {method: "POST", headers: {
            "Content-Type": "application/json", "X-CSRF-Token": token}, body: JSON.stringify(body)});
        return [made.status, await made.json()];
    }""", [path, body])
    assert status in (200, 201), made
    return made


def something(page):
    """One thing of each kind, and a call that nobody took."""
    agent = post(page, "agents", {"name": "parrot", "kind": "builtin", "builtin": "echo"})
    post(page, "organizations/telephony-configs", {"name": "Line", "config": {
        "provider": "sip_trunk", "inbound": {"enabled": True, "networks": ["203.0.113.0/24"]}}})
    post(page, "routes", {"to": "+4989*", "agent_id": agent["id"]})
    post(page, "webhooks", {"url": "https://example.com/calls", "enabled": False})
    post(page, "phone", {"agent": "parrot"})


def keyboard(browser):
    """Signs in, goes about, opens a dialog and leaves it, without a mouse."""
    page = browser.page()
    page.goto(f"{browser.base}/")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.insert_text(browser.key)
    page.keyboard.press("Enter")
    page.locator("#places").wait_for(state="attached")
    browser.go(page, "keys")
    # Whoever hears the page is told where they are; the way past the menu is the first of all.
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    first = page.evaluate("document.querySelector('a, button, input').textContent")
    assert first == "Skip to the page", first
    page.get_by_role("link", name="Skip to the page").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    opener = page.get_by_role("button", name="Make a key")
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Make a key")
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()
    browser.shot(page, "dialog-desktop")
    browser.judge(page, "dialog")
    # What cannot be sent says why, where the keyboard is then.
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-field=name] .wrong")).to_contain_text("This is needed")
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()
    # What is said while a dialog is open is said within it.
    page.keyboard.press("Enter")
    page.keyboard.insert_text("By keyboard")
    page.keyboard.press("Enter")
    made = page.get_by_role("dialog", name="Keep this key")
    made.get_by_role("button", name="Copy the key").focus()
    page.keyboard.press("Enter")
    expect(made.get_by_role("status")).to_contain_text("Copied")
    made.get_by_role("button", name="I have kept it").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="By keyboard")).to_be_visible()
    # A filter that is changed keeps the keyboard, though the page is drawn again.
    browser.go(page, "calls")
    state = page.get_by_role("combobox", name="State")
    state.focus()
    page.evaluate("document.querySelector('form.filters').dataset.old = true")
    state.select_option("completed")
    browser.until(page, "document.querySelector('form.filters:not([data-old])') !== null")
    expect(page).to_have_url(re.compile("status=completed"))
    expect(page.get_by_role("combobox", name="State")).to_be_focused()
    page.context.close()


def slip(browser):
    """What was typed is not lost by a link beside it, nor by Back; who wants to leave leaves."""
    page = browser.page()
    browser.sign_in(page)
    browser.go(page, "agents/new")
    page.get_by_label("Name", exact=True).fill("half")
    live = page.get_by_role("navigation", name="Pages", exact=True).get_by_role("link", name="Live")
    live.click()
    dialog = page.get_by_role("dialog", name="Leave without saving?")
    browser.judge(page, "a form that is left")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("half")
    live.click()
    dialog.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Live")
    # Nothing is asked where nothing was typed, or where the form is given up.
    browser.go(page, "agents/new")
    page.get_by_label("Name", exact=True).fill("half")
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Agents")
    page.get_by_role("link", name="Add agent").click()
    live.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Live")
    # The browser is at the form again while it is asked.
    browser.go(page, "agents/new")
    name = page.get_by_label("Name", exact=True)
    name.fill("half")
    page.evaluate("history.back()")
    expect(dialog).to_be_visible()
    expect(page).to_have_url(re.compile("#/agents/new$"))
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    expect(name).to_have_value("half")
    page.evaluate("history.back()")
    dialog.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Live")
    expect(page).to_have_url(re.compile("#/live$"))
    # Where nothing is typed, Back and Forward ask nothing.
    page.evaluate("history.forward()")
    expect(name).to_have_value("")
    page.evaluate("history.back()")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Live")
    expect(dialog).to_have_count(0)
    page.context.close()


def reader(browser, page):
    """A key that only reads is shown what it may see, and is offered nothing that it may not do."""
    key = post(page, "keys", {"name": "Reader", "scope": "read"})["key"]
    places = [place for place in [*PAGES, *ones(page)]
              if not re.match("keys|webhooks|audit|.*/new", place)]
    reads = browser.page()
    browser.sign_in(reads, key)
    expect(reads.get_by_role("link", name="API keys")).to_have_count(0)
    does = re.compile("^(Add|Delete|Edit|Save|Place|Test|Call|Remove|Import|Point|Take out|Hang)")
    for place in places:
        browser.go(reads, place)
        expect(reads.get_by_role("alert")).to_have_count(0)
        offered = reads.get_by_role("button", name=does, disabled=False)
        assert offered.count() == 0, (place, offered.all_inner_texts())
        browser.judge(reads, f"{place} for a reader")
    reads.context.close()


def windows(browser, page):
    """The windows of a browser have one session: what one does to it, the other knows."""
    key = post(page, "keys", {"name": "Window", "scope": "read"})["key"]
    one = browser.page()
    browser.sign_in(one)
    two = one.context.new_page()
    two.goto(f"{browser.base}/#/keys")
    expect(two.get_by_role("button", name="Make a key")).to_be_visible()
    browser.go(one, "keys")

    # Somebody signs in anew with the same key, and nobody tells of it: changes go on.
    status = two.evaluate("""async (key) => (await fetch("/api/v1/session", {method: "POST",
        headers: {"Content-Type": "application/json"}, body: JSON.stringify({key})})).status""",
        browser.key)
    assert status == 201, status
    one.get_by_role("button", name="Make a key").click()
    one.get_by_label("Name", exact=True).fill("Of another session")
    one.get_by_role("button", name="Make the key").click()
    one.get_by_role("button", name="I have kept it").click()
    expect(one.get_by_role("cell", name="Of another session")).to_be_visible()

    # Who signs out in one window has done so in the other.
    two.get_by_role("button", name="Sign out").click()
    expect(two.get_by_label("API key")).to_be_visible()
    expect(one.get_by_text("Your session has ended")).to_be_visible()

    # With another key in one, the other shows nothing more of the first.
    def enter(window, key):
        window.get_by_label("API key").fill(key)
        window.get_by_role("button", name="Sign in").click()

    enter(one, browser.key)
    expect(one.get_by_role("link", name="API keys")).to_be_visible()
    enter(two, key)
    expect(two.locator(".who")).to_contain_text("Window")
    expect(one.locator(".who")).to_contain_text("Window")
    expect(one.get_by_role("link", name="API keys")).to_have_count(0)
    one.context.close()


def small(browser):
    """What opens over a page in a hand: the menu, a form, the test phone."""
    page = browser.page("phone")
    page.goto(f"{browser.base}/")
    expect(page.get_by_label("API key")).to_be_visible()
    browser.view(page, "sign-in-phone")
    browser.sign_in(page)
    browser.go(page, "keys")
    menu = page.get_by_role("button", name="All pages")
    menu.click()
    expect(page.get_by_role("navigation", name="Pages", exact=True)).to_be_visible()
    browser.judge(page, "the menu")
    browser.view(page, "menu-phone")
    # The keyboard stays in the menu, and comes back from it.
    for _ in range(20):
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement.closest('main, .top, .thumbs')")
    page.get_by_role("link", name="Get started").focus()
    page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    page.get_by_role("button", name="Make a key").click()
    browser.judge(page, "a dialog on a phone")
    browser.view(page, "dialog-phone")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Test call").click()
    expect(page.get_by_label("Test phone").get_by_role("combobox")).to_be_visible()
    browser.judge(page, "the test phone on a phone")
    browser.view(page, "test-phone-phone")
    page.context.close()


browser = Browser(given())
page = browser.page()
browser.sign_in(page)
something(page)
keyboard(browser)
slip(browser)
reader(browser, page)
windows(browser, page)
small(browser)
browser.end()
