"""The carrier's official library for Python, asked in lines of JSON.

sign: the signature of a webhook. verify: does it believe one? document: what its builder writes.
"""

import json
import sys
import xml.etree.ElementTree as tree

from plivo import plivoxml
from plivo.utils import signature_v3, validate_v3_signature


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
}


def document(line):
    response = plivoxml.ResponseElement()
    BUILDERS[line["name"]](response)
    theirs = tree.fromstring(response.to_string())
    return {"same": meaning(theirs) == meaning(tree.fromstring(line["ours"])), "theirs": response.to_string()}


for text in sys.stdin:
    line = json.loads(text)
    print(json.dumps({"sign": sign, "verify": verify, "document": document}[line["do"]](line)), flush=True)
