"""Writes documents with the builder of the dialect's maker, asked in lines of JSON.

The carrier has no such library in Python. Where its documents and the dialect's coincide, the
elements and attributes are the same; its own attributes are passed through by name.
"""

from twilio.twiml.voice_response import Connect, Dial, VoiceResponse

from lines import serve


def document(task):
    said, response = task["said"], VoiceResponse()
    match task["name"]:
        case "connect":
            connect = Connect()
            connect.stream(
                url=said["url"],
                status_callback=said["stream"],
                status_callback_method="POST",
            )
            response.append(connect)
            response.redirect(said["ended"], method="POST")
            response.hangup()
        case "reject":
            response.reject(reason=said["reason"])
        case "unavailable":
            response.say(said["text"])
            response.hangup()
        case "dial":
            dial = Dial(timeout=20, caller_id=said["from"], action=said["action"])
            if said["to"].startswith("sip:"):
                dial.sip(said["to"])
            else:
                dial.number(said["to"])
            response.append(dial)
        case "conference":
            dial = Dial()
            dial.conference(
                said["room"],
                beep=False,
                hold_music=False,
                end_conference_on_exit=True,
                status_callback=said["hook"],
                status_callback_event="join",
            )
            response.append(dial)
            response.hangup()
    return {"document": str(response)}


serve(document=document)
