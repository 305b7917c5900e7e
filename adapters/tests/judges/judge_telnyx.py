"""Telnyx's official library for Python, asked in lines of JSON.

verify: does it believe a webhook, and what does it take it for? sign: a signature by a key of its own
(the library cannot sign; PyNaCl does). call: what its client makes of the carrier's API. request: what
its client sends if it is given the fields of a request of ours.
"""

import base64
import json
import time
from types import SimpleNamespace

import httpx
import nacl.signing
import telnyx
import telnyx.lib.webhook_verification as verification

from lines import ask, serve

ACTIONS = {
    "record_start": "start_recording",
    "record_stop": "stop_recording",
    "streaming_start": "start_streaming",
}


def client(key, answer):
    http_client = httpx.Client(transport=httpx.MockTransport(answer))
    return telnyx.Telnyx(api_key=key, max_retries=0, http_client=http_client)


def verify(line):
    # The library has no other way to be told the time.
    verification.time = SimpleNamespace(time=lambda: line["now"])
    try:
        verification.verify_webhook_signature(line["body"], line["headers"], line["key"])
        judge = telnyx.Telnyx(api_key="KEY", public_key=line["key"])
        event = judge.webhooks.unwrap(line["body"], headers=line["headers"], key=line["key"])
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


def carrier(request):
    answer = ask(request.method, str(request.url), dict(request.headers), request.content)
    return httpx.Response(answer["status"], text=answer["body"], headers={"content-type": "application/json"})


def call(line):
    judge = client(line["key"], carrier)
    dialled = judge.calls.dial(
        connection_id=line["connection"],
        to="+14155550100",
        from_="+14155550199",
        stream_url="wss://t.example/s",
        stream_bidirectional_mode="rtp",
        webhook_url="https://t.example/hook",
    )
    live = judge.calls.retrieve_status(dialled.data.call_control_id)
    judge.calls.actions.hangup(dialled.data.call_control_id)
    over = judge.calls.retrieve_status(dialled.data.call_control_id)
    errors = []
    for attempt in (
        lambda: judge.calls.actions.hangup(dialled.data.call_control_id),
        lambda: judge.calls.retrieve_status("v3:unknown"),
        lambda: judge.with_options(api_key="KEY_OTHER").calls.retrieve_status("v3:unknown"),
    ):
        try:
            attempt()
            errors.append("none")
        except telnyx.APIStatusError as error:
            errors.append(type(error).__name__)
    judge.call_control_applications.update(
        line["connection"],
        application_name="emulated",
        webhook_event_url="https://t.example/other",
    )
    application = judge.call_control_applications.retrieve(line["connection"]).data
    return {
        "class": type(dialled).__name__,
        "alive": [live.data.is_alive, over.data.is_alive],
        "errors": errors,
        "numbers": [number.phone_number for number in judge.phone_numbers.list()],
        "application": [application.application_name, application.webhook_event_url],
    }


def request(line):
    sent = []

    def take(request):
        body = json.loads(request.content or "{}")
        path = request.url.raw_path.decode().removeprefix("/v2")
        sent.append({"method": request.method, "path": path, "body": body})
        return httpx.Response(200, json={"data": {}})

    judge = client("KEY", take)
    body = dict(line["body"])
    if "from" in body:
        body["from_"] = body.pop("from")
    match line["path"].split("/"):
        case ["", "calls"]:
            judge.calls.dial(**body)
        case ["", "calls", call, "actions", action]:
            getattr(judge.calls.actions, ACTIONS.get(action, action))(call, **body)
    return sent[0]


serve(verify=verify, sign=sign, call=call, request=request)
