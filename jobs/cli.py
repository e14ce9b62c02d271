"""The `headwater` command: a table of subcommands, each in a module of its own that is imported only when called."""

from __future__ import annotations  # read by any Python, which is then told that it is too old, or too new

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

from state.errors import HeadwaterError

COMMANDS = {
    "replay": ("jobs.replay", "replay a log from files: lists, quality and a report"),
    "run": ("jobs.run", "run the loop live, Kafka to Kafka, until stopped"),
    "submit": ("jobs.submit", "start a live job on a Flink cluster"),
    "resume": ("jobs.resume", "start a live job on a Flink cluster from a savepoint or its newest checkpoint"),
    "savepoint": ("jobs.savepoint", "keep what a job on a Flink cluster has learned; it runs on"),
    "stop": ("jobs.stop", "end a job on a Flink cluster after a savepoint"),
    "status": ("jobs.status", "how a job on a Flink cluster is, and from what it would go on"),
    "compare": ("jobs.compare", "tell whether one replay is better than another, or the difference is chance"),
    "serve": ("view.serve", "serve the newest lists by REST, with meters and a page that watches the run"),
    "simulate": (
        "jobs.simulate",
        "write a made-up log whose best possible quality is known, or send events to a live job",
    ),
    "encode": ("jobs.encode", "turn item texts into vectors, once or as a side process on topics"),
    "cluster": ("jobs.cluster", "start, stop or show a real Flink cluster on this machine"),
    "kafka": ("jobs.broker", "start, stop or show a one-node Kafka broker for development"),
    "dead-letters": ("jobs.dead_letters", "list the records that could not be used, and feed repaired ones once more"),
    "transactions": ("jobs.transactions", "show a job's open transactions, and end those that nobody will commit"),
    "topics": ("jobs.topics", "create the topics of a job"),
    "demo": ("jobs.demo", "run broker, encoder, job, visitors and page on this machine, until Ctrl-C"),
    "doctor": ("jobs.doctor", "say what is wrong with this machine, configuration, broker or jars"),
}
"""Name -> (module with `add_arguments(parser)` and `main(args) -> int`, help)."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 if it found something wrong; 2 for a user's mistake; 3 if it saw no difference; 130 when interrupted; 141
        when nobody reads its output any more, as with `| head`.
    """
    _require_python()
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()  # here, where it can be told, and not at the exit
    except BrokenPipeError:
        _drop_output()
        return 141  # 128 + SIGPIPE, by which other programs end


def _run(argv: Sequence[str]) -> int:
    for name in ONE_THREAD:  # before any command imports numpy: matrix products round by the number of threads
        os.environ[name] = "1"
    parser = argparse.ArgumentParser(
        prog="headwater", description="Streaming online-learning engine for recommendations on PyFlink."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if argv and argv[0] == name:  # only the called command pays for its imports
            importlib.import_module(module).add_arguments(command)
    args = parser.parse_args(argv)
    try:
        status: int = importlib.import_module(COMMANDS[args.command][0]).main(args)
    except HeadwaterError as error:
        print(f"headwater {args.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def _drop_output() -> None:
    """Let what is still to be written go nowhere, so that the exit does not fail over it."""
    with contextlib.suppress(OSError):  # an output that is no file of the system's, as in a test
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())


def _require_python() -> None:
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"headwater: error: this is Python {version}; expected 3.10, 3.11 or 3.12, because apache-flink 2.3.0 has "
            "no wheels for others; make the environment with one of these: make setup PYTHON=python3.11"
        )


if __name__ == "__main__":
    sys.exit(main())
