"""Pipecat, unchanged, as the server that carriers open their media sockets to.

Tells the port first, then events of the call: up (which carrier pipecat takes it for, and its ids), digit, over;
and http, a request of its own to the carrier, which is answered by {"do": "answer", …}. Does what it
is told: say (a tone), interrupt, end (the call), heard (yields what was heard, 16-bit samples).
"""

import asyncio
import json
import math
import socket as sockets
import struct
import sys
from array import array
from urllib.parse import urlencode

import aiohttp
import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import (
    EndFrame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.exotel import ExotelFrameSerializer
from pipecat.serializers.plivo import PlivoFrameSerializer
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport

logger.remove()
app = FastAPI()
account = json.loads(sys.argv[1])
RATE_HZ = 8000
AMPLITUDE = 10_000


def tell(message):
    print(json.dumps(message), flush=True)


class Answer:
    """The answer to a request of pipecat's to the carrier's API."""

    def __init__(self, method, url, auth=None, data=None, headers=None):
        headers = dict(headers or {})
        if auth:
            headers["authorization"] = auth.encode()
        self.asked = {"method": method, "url": url, "headers": headers, "body": urlencode(data or {})}

    async def __aenter__(self):
        global answer
        answer = asyncio.get_running_loop().create_future()
        tell({"http": self.asked})
        line = await answer
        self.status, self.body = line["status"], line["body"]
        return self

    async def __aexit__(self, *_):
        pass

    async def text(self):
        return self.body

    async def json(self):
        return json.loads(self.body)


class Session:
    """Stands where aiohttp's session does: the carrier's API is where the test is."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    def post(self, url, **more):
        return Answer("POST", url, **more)

    def delete(self, url, **more):
        return Answer("DELETE", url, **more)


aiohttp.ClientSession = Session


class Call(FrameProcessor):
    """Hears, and says what it is told to say."""

    def __init__(self):
        super().__init__()
        self.heard = bytearray()
        self.worker = None

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.heard += frame.audio
            return
        if isinstance(frame, InputDTMFFrame):
            tell({"event": "digit", "digit": frame.button.value})
        await self.push_frame(frame, direction)

    async def do(self, line):
        match line["do"]:
            case "heard":
                tell({"heard": array("h", bytes(self.heard)).tolist()})
            case "say":
                turn = math.tau * line["hz"] / RATE_HZ
                tone = (round(AMPLITUDE * math.sin(at * turn)) for at in range(line["ms"] * RATE_HZ // 1000))
                audio = b"".join(struct.pack("<h", sample) for sample in tone)
                await self.push_frame(OutputAudioRawFrame(audio, RATE_HZ, 1))
            case "interrupt":
                await self.push_frame(InterruptionFrame())
            case "end":
                await self.worker.queue_frame(EndFrame())


def serializer(kind, data):
    match kind:
        case "twilio":
            return TwilioFrameSerializer(data.stream_id, data.call_id, account["user"], account["secret"])
        case "exotel":
            return ExotelFrameSerializer(data.stream_id, data.call_id)
        case "plivo":
            return PlivoFrameSerializer(data.stream_id, data.call_id, account["user"], account["secret"])
        case "telnyx":
            encoding = data.outbound_encoding
            return TelnyxFrameSerializer(data.stream_id, encoding, "PCMU", data.call_id, account["secret"])


@app.websocket("/")
async def take(socket: WebSocket):
    global call
    call = taken = Call()
    await socket.accept()
    kind, data = await parse_telephony_websocket(socket)
    params = FastAPIWebsocketParams(
        audio_in_enabled=True,
        audio_out_enabled=True,
        # Exotel plays messages of less than 3200 bytes with gaps.
        audio_out_10ms_chunks=20 if kind == "exotel" else 4,
        # Two seconds in one message are more than Plivo's documents allow.
        audio_out_end_silence_secs=0,
        serializer=serializer(kind, data),
    )
    transport = FastAPIWebsocketTransport(websocket=socket, params=params)
    taken.worker = PipelineTask(
        Pipeline([transport.input(), taken, transport.output()]),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
    )

    @transport.event_handler("on_client_connected")
    async def up(_transport, _client):
        tell({"event": "up", "carrier": kind, "call": data.call_id, "stream": data.stream_id})

    @transport.event_handler("on_client_disconnected")
    async def over(_transport, _client):
        tell({"event": "over"})
        await taken.worker.cancel()

    await PipelineRunner(handle_sigint=False).run(taken.worker)


async def main():
    listener = sockets.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    tell({"port": listener.getsockname()[1]})
    while text := await reader.readline():
        line = json.loads(text)
        if line["do"] == "answer":
            answer.set_result(line)
        else:
            await call.do(line)
    serving.cancel()


asyncio.run(main())
