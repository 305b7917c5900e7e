"""Vonage's own library judges what we send, and is a client of the carrier in miniature.

sign: the token of a webhook (the library cannot sign one; PyJWT, which it stands on, does). judge:
webhooks, tokens, documents and calls of ours, and what its client makes of the carrier's APIs.
"""

import hashlib
import json
import time

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from vonage import Auth, Vonage
from vonage_jwt import verify_signature
from vonage_voice.models import (
    Connect,
    Conversation,
    CreateCallRequest,
    Phone,
    Record,
    Talk,
    ToPhone,
)
from vonage_voice.models.connect_endpoints import PhoneEndpoint, WebsocketEndpoint

from lines import Bridge, serve


def sign(line):
    claims = dict(line["claims"], payload_hash=hashlib.sha256(line["body"].encode()).hexdigest())
    return {"token": jwt.encode(claims, line["secret"], algorithm=line["algorithm"])}


def connect(action):
    """Our action, built by the library; it wants a caller even where none is heard."""
    given = dict(action)
    endpoint = dict(given.pop("endpoint")[0])
    if endpoint["type"] == "websocket":
        endpoint["contentType"] = endpoint.pop("content-type")
        return Connect(endpoint=[WebsocketEndpoint(**endpoint)], randomFromNumber=True, **given)
    given["from_"] = given.pop("from")
    return Connect(endpoint=[PhoneEndpoint(**endpoint)], **given)


MODELS = {"conversation": Conversation, "record": Record, "talk": Talk}


def built(action):
    model = connect(action) if action["action"] == "connect" else MODELS[action["action"]](**action)
    document = json.loads(json.dumps(model.model_dump(by_alias=True, exclude_none=True)))
    if "randomFromNumber" not in action:
        document.pop("randomFromNumber", None)
    return document


def judge(given):
    config = given["config"]
    verdict = {}

    token = given["webhook"].removeprefix("Bearer ")
    verdict["webhook"] = verify_signature(token, config["signature_secret"])
    verdict["webhook_of_another"] = verify_signature(token, "another secret")

    key = load_pem_private_key(config["private_key"].encode(), None).public_key()
    claims = jwt.decode(given["token"].removeprefix("Bearer "), key, algorithms=["RS256"])
    verdict["token"] = {"life_s": claims["exp"] - claims["iat"], "id": claims["application_id"]}

    verdict["documents"] = [built(action) for action in given["documents"]]
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
    client.http_client._session.mount("https://", Bridge(now=time.time))
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
    return verdict


serve(sign=sign, judge=judge)
