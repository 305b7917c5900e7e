"""Does with the carrier's own SDK what the test asks for: tasks as JSON in, answers as JSON out."""

import json
import sys

from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, Dial, Refer, VoiceResponse


def sign(task):
    return RequestValidator(task["token"]).compute_signature(task["url"], task["params"])


def validate(task):
    validator = RequestValidator(task["token"])
    return bool(validator.validate(task["url"], task["params"], task["signature"]))


def document(task):
    said, response = task["said"], VoiceResponse()
    match task["name"]:
        case "connect":
            connect = Connect(action=said["action"])
            connect.stream(
                url=said["url"],
                name="talkpath",
                status_callback=said["stream"],
                status_callback_method="POST",
            )
            response.append(connect)
        case "busy":
            response.reject(reason="busy")
        case "rejected":
            response.reject()
        case "unavailable":
            response.say(said["text"], language=said["language"])
            response.hangup()
        case "dial":
            dial = Dial(
                action=said["action"],
                method="POST",
                answer_on_bridge=True,
                timeout=20,
                caller_id=said["from"],
            )
            dial.number(
                said["to"],
                status_callback=said["leg"],
                status_callback_event="initiated answered",
            )
            response.append(dial)
        case "refer":
            refer = Refer(action=said["action"], method="POST")
            refer.sip(said["to"])
            response.append(refer)
        case "conference":
            dial = Dial()
            dial.conference(
                said["room"],
                beep=False,
                start_conference_on_enter=True,
                end_conference_on_exit=True,
            )
            response.append(dial)
    return str(response)


if __name__ == "__main__":
    does = {"sign": sign, "validate": validate, "document": document}
    tasks = json.load(sys.stdin)
    json.dump([does[task["do"]](task) for task in tasks], sys.stdout)
