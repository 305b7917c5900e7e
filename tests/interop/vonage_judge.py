"""Vonage's own library judges what we send, and is a client of the carrier in miniature.

Reads one JSON object with what is to be judged, then makes requests by the library, each as a line
of JSON on standard output, answered by a line on standard input; the last line is the verdict.
"""

import json
import sys
import time

try:
    import jwt
    import requests
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from vonage import Auth, Vonage
    from vonage_jwt import verify_signature
    from vonage_voice.models import Connect, CreateCallRequest, Phone, Record, Talk, ToPhone
    from vonage_voice.models.connect_endpoints import WebsocketEndpoint
except ImportError as error:
    print(json.dumps({"skip": str(error)}), flush=True)
    sys.exit(0)


def say(message):
    print(json.dumps(message), flush=True)


class Bridge(requests.adapters.BaseAdapter):
    """Sends requests to whoever started this program."""

    def send(self, request, **_):
        body = request.body or ""
        text = lambda part: part.decode() if isinstance(part, bytes) else part
        say({
            "http": {
                "method": request.method,
                "url": request.url,
                "headers": {name: text(value) for name, value in request.headers.items()},
                "body": text(body),
            },
            "now": int(time.time()),
        })
        answer = json.loads(sys.stdin.readline())
        response = requests.Response()
        response.status_code = answer["status"]
        response.headers["Content-Type"] = "application/json"
        response._content = answer["body"].encode()
        response.request = request
        response.url = request.url
        return response

    def close(self):
        pass


def connect(action):
    """Our action, built by the library; it wants a caller even where none is heard."""
    given = {name: value for name, value in action.items() if name != "endpoint"}
    endpoint = {name: value for name, value in action["endpoint"][0].items()}
    endpoint["contentType"] = endpoint.pop("content-type")
    built = Connect(endpoint=[WebsocketEndpoint(**endpoint)], randomFromNumber=True, **given)
    return built


def built(action):
    model = connect(action) if action["action"] == "connect" else Record(**action)
    document = json.loads(json.dumps(model.model_dump(by_alias=True, exclude_none=True)))
    document.pop("randomFromNumber", None)
    return document


def main():
    given = json.loads(sys.stdin.readline())
    config = given["config"]
    verdict = {}

    token = given["webhook"].removeprefix("Bearer ")
    verdict["webhook"] = verify_signature(token, config["signature_secret"])
    verdict["webhook_of_another"] = verify_signature(token, "another secret")

    key = load_pem_private_key(config["private_key"].encode(), None).public_key()
    claims = jwt.decode(given["token"].removeprefix("Bearer "), key, algorithms=["RS256"])
    verdict["token"] = {"life_s": claims["exp"] - claims["iat"], "id": claims["application_id"]}

    verdict["documents"] = [built(action) == action for action in given["document"]]
    call = dict(given["call"])
    from_ = call.pop("from")
    ncco = call.pop("ncco")
    to = [ToPhone(**{name: value for name, value in call.pop("to")[0].items() if name != "type"})]
    request = CreateCallRequest(
        to=to, from_=Phone(number=from_["number"]), ncco=[connect(ncco[-1])], **call
    )
    dumped = json.loads(json.dumps(request.model_dump(by_alias=True, exclude_none=True)))
    dumped["ncco"][0].pop("randomFromNumber", None)
    verdict["call"] = dumped == given["call"]

    client = Vonage(Auth(
        application_id=config["application_id"],
        private_key=config["private_key"],
        api_key=config["api_key"],
        api_secret=config["api_secret"],
    ))
    client.http_client._session.mount("https://", Bridge())
    numbers, _, _ = client.numbers.list_owned_numbers()
    verdict["numbers"] = [number.msisdn for number in numbers]
    placed = client.voice.create_call(CreateCallRequest(
        to=[ToPhone(number="442079460000")],
        from_=Phone(number=numbers[0].msisdn),
        ncco=[Talk(text="hello")],
    ))
    verdict["placed"] = placed.status
    verdict["status"] = client.voice.get_call(placed.uuid).status
    verdict["keys"] = client.voice.play_dtmf_into_call(placed.uuid, "1p2#").message
    client.voice.transfer_call_ncco(placed.uuid, [Talk(text="moved")])
    second = client.voice.create_call(CreateCallRequest(
        to=[ToPhone(number="442079460000")],
        from_=Phone(number=numbers[0].msisdn),
        ncco=[Talk(text="hello")],
    ))
    client.voice.hangup(second.uuid)
    over = client.voice.get_call(second.uuid)
    verdict["over"] = [over.status, over.duration, over.price]
    application = client.application.get_application(config["application_id"])
    verdict["application"] = [
        application.name,
        application.capabilities.voice.webhooks.answer_url.address,
        application.capabilities.voice.signed_callbacks,
    ]
    try:
        client.voice.hangup("00000000-0000-4000-8000-000000000000")
        verdict["unknown"] = "no error"
    except Exception as error:
        verdict["unknown"] = type(error).__name__
    say({"done": verdict})


main()
