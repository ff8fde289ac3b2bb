"""A TCP relay that is as far away as it is told, and counts what it carries.

relay.py LISTEN-PORT HOST PORT MILLISECONDS COUNTS-FILE

Each piece is late by half of MILLISECONDS in its direction, so that a request and its answer take all of it.
COUNTS-FILE is rewritten after each connection: connections, bytes to the host, bytes back.
"""

import asyncio
import os
import sys

listen, host, port, delay, counts = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]) / 2000, sys.argv[5]
seen = [0, 0, 0]


async def carry(reader, writer, way):
    loop = asyncio.get_running_loop()
    queue = asyncio.Queue()

    async def deliver():
        while (piece := await queue.get()) is not None:
            due, data = piece
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            writer.write(data)
            await writer.drain()

    task = asyncio.create_task(deliver())
    try:
        while data := await reader.read(65536):
            seen[way] += len(data)
            queue.put_nowait((loop.time() + delay, data))
    except ConnectionError:
        pass
    queue.put_nowait(None)
    try:
        await task
        writer.write_eof()
    except (ConnectionError, OSError):
        pass


async def serve(reader, writer):
    seen[0] += 1
    # The handshake of TCP takes a round trip, too.
    await asyncio.sleep(2 * delay)
    there = await asyncio.open_connection(host, port)
    await asyncio.gather(carry(reader, there[1], 1), carry(there[0], writer, 2))
    for end in (writer, there[1]):
        end.close()
    with open(counts + ".new", "w") as file:
        print(*seen, file=file)
    os.replace(counts + ".new", counts)


async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", listen) as server:
        await server.serve_forever()


asyncio.run(main())
