"""Server-sent events: the state of the run, and of one user, whenever it has changed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

RUN_S = 1.0  # between two states of the run
_LOOK_S = 0.1  # between two looks for a change of the user
_QUIET_S = 15.0  # after which a comment keeps the connection open


async def stream(
    run: Callable[[], bytes], user: Callable[[], dict[str, Any]] | None, is_over: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Yield events `run` and `user`, each at once and then when it differs from the one before.

    Args:
        run: returns the state of the run, as JSON.
        user: returns that of the user; None where none was asked for.
        is_over: says whether the server stops.
    """
    last: dict[str, bytes] = {}
    clock = asyncio.get_running_loop().time
    next_run = sent = 0.0
    while not is_over():
        now = clock()
        told = []
        if now >= next_run:
            next_run = now + RUN_S
            told.append(("run", run()))
        if user is not None:
            told.append(("user", msgspec.json.encode(user())))
        for name, data in told:
            if last.get(name) != data:
                last[name] = data
                sent = now
                yield b"event: %b\ndata: %b\n\n" % (name.encode(), data)
        if now - sent > _QUIET_S:
            sent = now
            yield b": quiet\n\n"
        await asyncio.sleep(_LOOK_S)
