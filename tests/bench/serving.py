"""Latency of cached reads under a steady load: GET /users/{user}/recommendations of a running `headwater serve`.

    headwater serve --replay DIR &
    python -m tests.bench.serving --url http://127.0.0.1:8321 --rate 500 --seconds 20

Requests leave at fixed times whether or not earlier ones were answered, and each is timed from when it should have
left, so that a server that stalls is not spared the requests it held up.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

WARM_S = 2.0


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8321")
    parser.add_argument("--rate", type=float, default=500, help="requests/s")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--users", type=int, default=1000, help="among which each request picks one")
    args = parser.parse_args()
    with urlopen(f"{args.url}/users?k={args.users}") as answer:
        users = json.load(answer)["users"]
    for first in "123456789":
        with urlopen(f"{args.url}/users?prefix={first}&k={args.users // 9}") as answer:
            users += json.load(answer)["users"]
    took, failed = asyncio.run(_load(args.url, users, args.rate, args.seconds, args.connections))
    took.sort()
    shown = ", ".join(
        f"p{p:g} {1000 * took[min(len(took) - 1, int(len(took) * p / 100))]:.2f} ms" for p in (50, 95, 99, 99.9)
    )
    print(
        f"{len(took):,} reads of {len(set(users)):,} users at {args.rate:g}/s: {shown}, max {1000 * took[-1]:.1f} ms; "
        f"{failed} failed; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return 1 if failed else 0


async def _load(url: str, users: list[str], rate: float, seconds: float, connections: int) -> tuple[list[float], int]:
    """Return the latencies in s after the warm-up, and how many answers were not 200."""
    split = urlsplit(url)
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await asyncio.open_connection(split.hostname, split.port))
    chance = random.Random(1)
    took: list[float] = []
    failed = 0

    async def read(due: float, user: str) -> None:
        nonlocal failed
        reader, writer = await free.get()
        path = f"/users/{quote(user, safe='')}/recommendations"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {split.netloc}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        now = time.perf_counter()
        free.put_nowait((reader, writer))
        failed += not head.startswith(b"HTTP/1.1 200")
        if due - start > WARM_S:
            took.append(now - due)

    start = time.perf_counter()
    tasks = []
    for number in range(int(rate * (seconds + WARM_S))):
        due = start + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(read(due, chance.choice(users))))
    await asyncio.gather(*tasks)
    return took, failed


if __name__ == "__main__":
    sys.exit(main())
