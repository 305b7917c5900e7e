"""Plivo's official library for Python, asked in lines of JSON.

sign: the signature of a webhook. verify: does it believe one? document: what its builder writes.
call: what its client makes of the carrier's API. request: what its client sends if it is given the
fields of a request of ours.
"""

import json
import xml.etree.ElementTree as tree

import plivo
from plivo import plivoxml
from plivo.utils import signature_v3, validate_v3_signature

from lines import Bridge, Catch, serve


def params(pairs):
    """As a web framework hands them over: values of a name that comes again in a list."""
    found = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def sign(line):
    if line["method"] == "GET":
        signed = signature_v3.construct_get_url(line["url"], {})
    else:
        signed = signature_v3.construct_post_url(line["url"], params(line["params"]))
    return {"signature": signature_v3.get_signature_v3(line["token"], signed, line["nonce"]).decode()}


def verify(line):
    valid = validate_v3_signature(
        line["method"], line["url"], line["nonce"], line["token"], line["signature"], params(line["params"])
    )
    return {"valid": bool(valid)}


def meaning(element):
    return [element.tag, sorted(element.attrib.items()), (element.text or "").strip(), [meaning(e) for e in element]]


BUILDERS = {
    "busy": lambda r: r.add(plivoxml.HangupElement(reason="busy")),
    "rejected": lambda r: r.add(plivoxml.HangupElement(reason="rejected")),
    "stream": lambda r: r.add(
        plivoxml.StreamElement(
            "wss://t.example/s?a=1&b=2",
            bidirectional=True,
            keepCallAlive=True,
            audioTrack="inbound",
            contentType="audio/x-mulaw;rate=8000",
            statusCallbackUrl="https://t.example/api/v1/telephony/plivo/stream/tok/c1",
            statusCallbackMethod="POST",
        )
    ).add(
        plivoxml.RedirectElement(
            "https://t.example/api/v1/telephony/plivo/answer/tok/c1", method="POST"
        )
    ),
    "dial": lambda r: r.add(
        plivoxml.DialElement(
            caller_id="14155550199",
            timeout=20,
            action="https://t.example/api/v1/telephony/plivo/transfer/tok?step=dialled&call=c-1",
            method="POST",
            callback_url="https://t.example/api/v1/telephony/plivo/status/tok",
            callback_method="POST",
        ).add(plivoxml.NumberElement("14155550100"))
    ),
    "conference": lambda r: r.add(
        plivoxml.ConferenceElement("transfer-c-1", end_conference_on_exit=True)
    ),
}


def document(line):
    response = plivoxml.ResponseElement()
    BUILDERS[line["name"]](response)
    theirs = tree.fromstring(response.to_string())
    return {"same": meaning(theirs) == meaning(tree.fromstring(line["ours"])), "theirs": response.to_string()}


def client(line, transport):
    made = plivo.RestClient(line["id"], line["token"])
    made.session.mount("https://", transport)
    return made


def errors(*attempts):
    names = []
    for attempt in attempts:
        try:
            attempt()
            names.append("none")
        except plivo.exceptions.PlivoRestError as error:
            names.append(type(error).__name__)
    return names


def call(line):
    judge = client(line, Bridge())
    urls = {"answer_url": "https://t.example/a", "hangup_url": "https://t.example/h"}
    placed = judge.calls.create(from_="14155550199", to_="14155550100", **urls).request_uuid
    state = judge.live_calls.get(placed).call_status
    judge.calls.start_recording(placed, callback_url="https://t.example/r")
    judge.calls.stop_recording(placed, None, None)
    judge.calls.send_digits(placed, "12#", leg="aleg")
    judge.calls.transfer(placed, legs="aleg", aleg_url="https://t.example/b", aleg_method="POST")
    judge.calls.hangup(placed)
    over = judge.calls.get(placed)
    made = judge.applications.create("judged", **urls).app_id
    judge.applications.update(made, answer_url="https://t.example/c")
    judge.numbers.update("14155550199", app_id=made)
    other = client({"id": line["id"], "token": "other"}, Bridge())
    return {
        "state": state,
        "over": [over.hangup_cause_code, over.total_amount],
        "numbers": [[n.number, n.application.split("/")[-2] == made] for n in judge.numbers.list().objects],
        "errors": errors(
            lambda: judge.calls.hangup(placed),
            lambda: judge.live_calls.get(placed),
            lambda: other.calls.hangup(placed),
        ),
    }


def request(line):
    catch = Catch()
    judge = client({"id": "MAEXAMPLE00000000001", "token": "token"}, catch)
    body = dict(line["body"])
    for name in ("from", "to"):
        if name in body:
            body[name + "_"] = body.pop(name)
    match [line["method"], *line["path"].strip("/").split("/")]:
        case ["POST", "Call"]:
            judge.calls.create(**body)
        case ["DELETE", "Call", call]:
            judge.calls.hangup(call)
        case ["POST", "Call", call]:
            judge.calls.transfer(call, **body)
        case ["POST", "Call", call, "DTMF"]:
            judge.calls.send_digits(call, **body)
        case ["POST", "Call", call, "Record"]:
            judge.calls.start_recording(call, **body)
        case ["DELETE", "Call", call, "Record"]:
            judge.calls.stop_recording(call, None, None)
        case ["POST", "Application"]:
            judge.applications.create(**body)
    sent = catch.sent[0]
    path = sent.url.split("/v1/Account/", 1)[1].split("/", 1)[1]
    return {"method": sent.method, "path": "/" + path, "body": json.loads(sent.body or "{}")}


serve(sign=sign, verify=verify, document=document, call=call, request=request)
