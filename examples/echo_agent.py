#!/usr/bin/env python3
"""A voice agent in thirty lines: it says back what it hears.

    pip install websockets
    python examples/echo_agent.py            # listens on 127.0.0.1:9000

Talkpath dials it when a call comes in; see examples/echo_agent.toml and docs/protocol.md.
"""

import asyncio
import json
import sys
from contextlib import suppress

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def call(socket):
    frames = 0
    with suppress(ConnectionClosed):  # a caller who hangs up does not wait for our last frame
        async for message in socket:
            if isinstance(message, bytes):  # one frame: a 12-byte RTP header and its audio
                frames += 1
                await socket.send(message)
            else:  # everything else is JSON with an "event"
                told = json.loads(message)
                print(told["event"], {k: told[k] for k in ("from", "to", "cause") if k in told})
    print("frames echoed:", frames)


async def main(port):
    async with serve(call, "127.0.0.1", port, subprotocols=["talkpath.v1"], compression=None):
        print(f"echo agent on ws://127.0.0.1:{port}", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000))
