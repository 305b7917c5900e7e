"""Each provider's form: filled, saved, opened again with its secrets masked, saved again."""

import json

from browser import Browser, expect, given

given = given()
browser = Browser(given)


def leaves(fields, config, prefix=""):
    """What of a configuration each field of its form holds, by the field's name."""
    for field in fields:
        value = config
        for part in field["name"].split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and not field["readonly"]:
            yield field, value


def fill(scope, field, value):
    """Fills one field as people do."""
    frame = scope.locator(f"[data-field='{field['name']}']")
    more = frame.locator("xpath=ancestor::details[not(@open)]/summary")
    if more.count():
        more.first.click()
    kind = field["type"]
    if kind == "boolean":
        frame.get_by_role("switch").set_checked(value)
    elif kind == "select":
        frame.get_by_role("combobox").select_option(str(value))
    elif kind == "choices":
        for option in field["options"]:
            frame.get_by_label(option["label"], exact=True).set_checked(option["value"] in value)
    elif kind in ("list", "phone-list"):
        for at, text in enumerate(value):
            if at:
                frame.get_by_role("button", name="Add").click()
            frame.get_by_role("textbox").nth(at).fill(text)
    elif kind == "map":
        for at, (name, text) in enumerate(value.items()):
            frame.get_by_role("button", name="Add").click()
            frame.get_by_label("Name").nth(at).fill(name)
            frame.get_by_label("Value").nth(at).fill(text)
    elif kind == "rows":
        for at, row in enumerate(value):
            entries = frame.locator(".entry")
            if entries.count() <= at:
                frame.get_by_role("button", name="Add").last.click()
            for inner, text in leaves(field["fields"], row):
                fill(entries.nth(at), inner, text)
    else:
        frame.locator("input, textarea").first.fill(str(value))


def secrets(form, config):
    return [(field, value) for field, value in leaves(form["fields"], config)
            if field["sensitive"] or field["type"] == "password"]


def one(page, form, config):
    name = form["provider"]
    browser.go(page, f"connections/new/{name}")
    page.get_by_label("Name", exact=True).first.fill(f"Line {name}")
    for field, value in leaves(form["fields"], config):
        fill(page, field, value)
    browser.judge(page, f"form of {name}")
    page.get_by_role("button", name="Add connection").click()
    expect(page.locator("h1")).to_contain_text(f"Line {name}")
    browser.shot(page, f"connection-{name}-desktop")
    browser.judge(page, f"connection of {name}")
    page.get_by_role("button", name="Edit", exact=True).click()
    dialog = page.get_by_role("dialog")
    hidden = secrets(form, config)
    for field, value in hidden:
        frame = dialog.locator(f"[data-field='{field['name']}']")
        assert frame.get_by_role("button", name="Replace").count() == 1, field["name"]
    text = page.evaluate("""() => document.body.innerText + Array.from(
        document.querySelectorAll("input, textarea"), (input) => input.value).join(" ")""")
    for field, value in hidden:
        assert str(value) not in text, f"{name}: {field['name']} is shown"
    dialog.get_by_label("Name", exact=True).first.fill(f"Renamed {name}")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_contain_text(f"Renamed {name}")
    return len(hidden)


page = browser.page()
browser.sign_in(page)
metadata = page.evaluate("""async () => (await (await fetch(
    "/api/v1/organizations/telephony-providers/metadata")).json()).providers""")
done = {}
for form in metadata:
    config = given["configs"].get(form["provider"])
    if config:
        done[form["provider"]] = one(page, form, config)
browser.end()
print(f"== {json.dumps(done)}", flush=True)
