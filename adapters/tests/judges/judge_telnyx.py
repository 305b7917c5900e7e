"""The carrier's official library for Python, asked in lines of JSON.

verify: does it believe a webhook, and what does it take it for? sign: a signature by a key of its own
(the library cannot sign; PyNaCl does). call: what its client sends, answered by whoever reads the line.
"""

import base64
import json
import sys
import time
from types import SimpleNamespace

import httpx
import nacl.signing
import telnyx
import telnyx.lib.webhook_verification as verification


def say(answer):
    print(json.dumps(answer), flush=True)


def ask(request):
    body = request.content.decode()
    say({"method": request.method, "url": str(request.url), "headers": dict(request.headers), "body": body})
    answer = json.loads(sys.stdin.readline())
    return httpx.Response(answer["status"], text=answer["body"], headers={"content-type": "application/json"})


def verify(line):
    # The library has no other way to be told the time.
    verification.time = SimpleNamespace(time=lambda: line["now"])
    try:
        verification.verify_webhook_signature(line["body"], line["headers"], line["key"])
        client = telnyx.Telnyx(api_key="KEY", public_key=line["key"])
        event = client.webhooks.unwrap(line["body"], headers=line["headers"], key=line["key"])
        return {"valid": True, "class": type(event).__name__}
    except verification.WebhookVerificationError as error:
        return {"valid": False, "why": str(error)}
    finally:
        verification.time = time


def sign(line):
    key = nacl.signing.SigningKey.generate()
    signature = key.sign(f"{line['timestamp']}|{line['body']}".encode()).signature
    public = key.verify_key.encode()
    return {"signature": base64.b64encode(signature).decode(), "key": base64.b64encode(public).decode()}


def call(line):
    transport = httpx.MockTransport(ask)
    client = telnyx.Telnyx(api_key=line["key"], max_retries=0, http_client=httpx.Client(transport=transport))
    dialled = client.calls.dial(
        connection_id=line["connection"],
        to="+14155550100",
        from_="+14155550199",
        stream_url="wss://t.example/s",
        stream_bidirectional_mode="rtp",
        webhook_url="https://t.example/hook",
    )
    live = client.calls.retrieve_status(dialled.data.call_control_id)
    client.calls.actions.hangup(dialled.data.call_control_id)
    over = client.calls.retrieve_status(dialled.data.call_control_id)
    errors = []
    for attempt in (
        lambda: client.calls.actions.hangup(dialled.data.call_control_id),
        lambda: client.calls.retrieve_status("v3:unknown"),
        lambda: client.with_options(api_key="KEY_OTHER").calls.retrieve_status("v3:unknown"),
    ):
        try:
            attempt()
            errors.append("none")
        except telnyx.APIStatusError as error:
            errors.append(type(error).__name__)
    numbers = [number.phone_number for number in client.phone_numbers.list()]
    return {
        "done": True,
        "class": type(dialled).__name__,
        "alive": [live.data.is_alive, over.data.is_alive],
        "errors": errors,
        "numbers": numbers,
    }


for text in sys.stdin:
    line = json.loads(text)
    say({"verify": verify, "sign": sign, "call": call}[line["do"]](line))
