"""Twilio's own library for Python, asked in lines of JSON.

sign: the signature of a webhook. validate: does it believe one? document: what its builder writes.
place, rest: what its client makes of the carrier's API. request: what its client sends if it is given
the fields of a request of ours.
"""

import re
from urllib.parse import parse_qsl

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.voice_response import Connect, Dial, Refer, VoiceResponse

from lines import Bridge, Catch, serve

STREAM = "<Response><Connect><Stream url='wss://t.example/s'/></Connect></Response>"


def sign(task):
    validator = RequestValidator(task["token"])
    answer = {}
    if "body" in task:
        answer["hash"] = validator.compute_hash(task["body"])
        task["url"] += ("&" if "?" in task["url"] else "?") + "bodySHA256=" + answer["hash"]
        answer["url"] = task["url"]
    answer["signature"] = validator.compute_signature(task["url"], task.get("params"), task.get("algorithm"))
    return answer


def validate(task):
    validator = RequestValidator(task["token"])
    return {"valid": bool(validator.validate(task["url"], task["params"], task["signature"]))}


def connect(response, said):
    verb = Connect(action=said["action"])
    verb.stream(
        url=said["url"],
        name="talkpath",
        status_callback=said["stream"],
        status_callback_method="POST",
    )
    response.append(verb)


def unavailable(response, said):
    response.say(said["text"], language=said["language"])
    response.hangup()


def dial(response, said):
    verb = Dial(
        action=said["action"],
        method="POST",
        answer_on_bridge=True,
        timeout=20,
        caller_id=said["from"],
    )
    verb.number(said["to"], status_callback=said["leg"], status_callback_event="initiated answered")
    response.append(verb)


def refer(response, said):
    verb = Refer(action=said["action"], method="POST")
    verb.sip(said["to"])
    response.append(verb)


def conference(response, said):
    verb = Dial()
    verb.conference(
        said["room"],
        beep=False,
        start_conference_on_enter=True,
        end_conference_on_exit=True,
    )
    response.append(verb)


BUILDERS = {
    "busy": lambda response, _: response.reject(reason="busy"),
    "conference": conference,
    "connect": connect,
    "dial": dial,
    "hangup": lambda response, _: response.hangup(),
    "refer": refer,
    "rejected": lambda response, _: response.reject(),
    "unavailable": unavailable,
}


def document(task):
    response = VoiceResponse()
    BUILDERS[task["name"]](response, task["said"])
    return {"document": str(response)}


def client(transport, account, token):
    http_client = TwilioHttpClient()
    http_client.session.mount("https://", transport)
    return Client(account, token, http_client=http_client)


def place(task):
    judge = client(Bridge(), task["account"], task["token"])
    placed = judge.calls.create(
        to="+15557654321",
        from_=task["number"],
        twiml=STREAM,
        status_callback="https://t.example/s",
        status_callback_event=["initiated", "completed"],
        timeout=30,
    )
    return {"sid": placed.sid, "status": placed.status, "direction": placed.direction}


def errors(*attempts):
    met = []
    for attempt in attempts:
        try:
            attempt()
            met.append("none")
        except TwilioRestException as error:
            met.append([error.status, error.code])
    return met


def rest(task):
    judge = client(Bridge(), task["account"], task["token"])
    other = client(Bridge(), task["account"], "another token")
    call, number = judge.calls(task["sid"]), task["number"]
    up = call.fetch().status
    recording = call.recordings.create(
        recording_channels="dual", recording_status_callback="https://t.example/r"
    )
    stopped = call.recordings("Twilio.CURRENT").update(status="stopped")
    call.update(twiml=STREAM)
    call.update(status="completed")
    over = call.fetch()
    listed = judge.incoming_phone_numbers.list()
    listed[0].update(voice_url="https://t.example/v", voice_method="POST", trunk_sid="")
    found = judge.incoming_phone_numbers.list(phone_number=number)
    made = judge.applications.create(friendly_name="judged", voice_url="https://t.example/v")
    return {
        "up": up,
        "recording": [recording.sid == stopped.sid, recording.call_sid == task["sid"], stopped.status],
        "over": [over.status, over.duration, over.price, over.price_unit, over.end_time is not None],
        "numbers": [[n.phone_number, n.voice_url] for n in found],
        "application": made.sid[:2],
        "errors": errors(
            lambda: call.update(status="completed"),
            lambda: judge.calls("CA" + "0" * 32).fetch(),
            lambda: judge.calls.create(to="+15005550001", from_=number, twiml="<Response/>"),
            lambda: judge.calls.create(to="nobody", from_=number, twiml="<Response/>"),
            lambda: judge.calls.create(to="+15557654321", from_="+15005550001", twiml="<Response/>"),
            lambda: other.calls(task["sid"]).fetch(),
        ),
    }


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def request(task):
    catch = Catch()
    judge = client(catch, task["account"], "token")
    fields = {}
    for name, value in task["fields"]:
        fields.setdefault(snake(name), []).append(value)
    fields = {
        name + "_" if name == "from" else name: values if len(values) > 1 else values[0]
        for name, values in fields.items()
    }
    match task["path"].removesuffix(".json").strip("/").split("/"):
        case ["Calls"]:
            judge.calls.create(**fields)
        case ["Calls", sid]:
            judge.calls(sid).update(**fields)
        case ["Calls", sid, "Recordings"]:
            judge.calls(sid).recordings.create(**fields)
        case ["Calls", sid, "Recordings", recording]:
            judge.calls(sid).recordings(recording).update(**fields)
        case ["IncomingPhoneNumbers", sid]:
            judge.incoming_phone_numbers(sid).update(**fields)
        case ["Applications"]:
            judge.applications.create(**fields)
    sent = catch.sent[0]
    return {
        "method": sent.method,
        "url": sent.url,
        "fields": sorted(parse_qsl(sent.body, keep_blank_values=True)),
    }


serve(sign=sign, validate=validate, document=document, place=place, rest=rest, request=request)
