"""Which execution mode a job runs in: thread, where Python runs inside the JVM, or process, with workers beside it."""

import sys

from jobs.platform import thread_mode_possible
from state.errors import HeadwaterError


def choose_mode(wanted: str) -> str:
    """Return thread or process.

    Args:
        wanted: auto takes thread where this machine can, and else says in one line why not.

    Raises:
        HeadwaterError: thread is wanted and cannot run here.
    """
    if wanted == "process":
        return wanted
    reason = thread_mode_possible()
    if reason is None:
        return "thread"
    if wanted == "thread":
        raise HeadwaterError(f"thread mode cannot run here: {reason}; use --mode process, or mend that")
    print(f"process mode, because thread mode cannot run here: {reason}", file=sys.stderr)
    return "process"
