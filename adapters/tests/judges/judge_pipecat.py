"""Pipecat's serializers, asked in lines of JSON: what is a message of a carrier, and what would they
say to it?

in: a message. out: 16-bit samples at 8 kHz to be said. clear: the person interrupts.
"""

import asyncio
import json
import sys

from loguru import logger
from pipecat.frames.frames import (
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.serializers.plivo import PlivoFrameSerializer
from pipecat.serializers.telnyx import TelnyxFrameSerializer

logger.remove()


def serializer(line):
    if line["carrier"] == "telnyx":
        return TelnyxFrameSerializer(
            line["stream"],
            "PCMU",
            "PCMU",
            params=TelnyxFrameSerializer.InputParams(auto_hang_up=False),
        )
    return PlivoFrameSerializer(line["stream"], params=PlivoFrameSerializer.InputParams(auto_hang_up=False))


async def answer(ours, line):
    if line["do"] == "in":
        frame = await ours.deserialize(line["text"])
        if isinstance(frame, InputAudioRawFrame):
            return {"audio": frame.audio.hex()}
        if isinstance(frame, InputDTMFFrame):
            return {"digit": frame.button.value}
        return {}
    if line["do"] == "out":
        return {"text": await ours.serialize(OutputAudioRawFrame(bytes.fromhex(line["audio"]), 8000, 1))}
    return {"text": await ours.serialize(InterruptionFrame())}


async def main():
    ours = None
    for text in sys.stdin:
        line = json.loads(text)
        if line["do"] == "open":
            ours = serializer(line)
            await ours.setup(StartFrame(audio_in_sample_rate=8000, audio_out_sample_rate=8000))
            print("{}", flush=True)
        else:
            print(json.dumps(await answer(ours, line)), flush=True)


asyncio.run(main())
