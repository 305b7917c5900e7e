"""A voice agent in 30 lines: it prints what it is told and says back what it hears.

    pip install websockets
    python examples/echo_agent.py [port]

The server dials ws://127.0.0.1:9000/ and speaks talkpath.v1: text messages are JSON events,
binary messages are audio, one frame each, with a 12-byte RTP header in front.
"""

import asyncio
import sys

from websockets.asyncio.server import serve


async def call(socket):
    print("call from", socket.remote_address, flush=True)
    async for message in socket:
        if isinstance(message, str):
            print(message, flush=True)
        else:
            await socket.send(message)
    print("call ended:", socket.close_code, socket.close_reason, flush=True)


async def main(port):
    async with serve(call, "127.0.0.1", port, subprotocols=["talkpath.v1"], compression=None):
        print(f"listening on ws://127.0.0.1:{port}/", flush=True)
        await asyncio.Future()


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000))
