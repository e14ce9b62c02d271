"""The Flink engine of a replay: the same graph that runs live, from a canonical log to files."""

import dataclasses
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobs.flink_env import Job, failed, jvm_is_gone, open_flink, start
from jobs.graph import build
from jobs.operators import LINES
from jobs.progress import Progress
from jobs.replay import DEAD_LETTERS, LISTS, METRICS, WORK, Replay, source_name
from jobs.sinks import to_files
from jobs.sources import file_inputs
from online.report import json_lines

_POLL_S = 0.5


def run_flink(replay: Replay, progress: Progress) -> None:
    """Run the loop; see `jobs.replay.Engine`."""
    from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]  # comes with apache-flink

    parallelism = replay.config.flink.parallelism
    print(f"starting Flink: {replay.mode} mode, parallelism {parallelism}", file=sys.stderr)
    _quiet_py4j()
    try:
        _run(replay, progress)
    except Py4JJavaError as error:
        raise failed("Flink cannot run the job", error) from None
    except (Py4JError, ConnectionError):
        raise jvm_is_gone() from None
    _merge(replay.out / WORK / METRICS, replay.out / METRICS)


def real_workers() -> None:
    """Make process mode start workers as a cluster does; PyFlink would run our operators in this process instead."""
    os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112  # PyFlink's name


def _run(replay: Replay, progress: Progress) -> None:
    real_workers()
    config, settings, work = replay.config, replay.config.settings(), replay.out / WORK
    placed = dataclasses.replace(config, flink=dataclasses.replace(config.flink, checkpoints=replay.checkpoints))
    flink = open_flink(placed, replay.mode, work, replay.restore)
    inputs = file_inputs(flink, replay.log, settings)
    outputs = build(inputs, settings, replay.vectors, LINES, replay.mode, (source_name(replay), ""))
    to_files(outputs.lists, replay.out / LISTS, "lists")
    to_files(outputs.dead_letters, replay.out / DEAD_LETTERS, "dead-letters")
    to_files(outputs.metrics, work / METRICS, "metrics")
    job = start(flink, config.name)
    try:
        _follow(job, work / METRICS, progress)
    except BaseException:
        with suppress(Exception):  # that it does not end well is known already
            job.cancel()
        raise


def _follow(job: Job, metrics: Path, progress: Progress) -> None:
    """Show the metrics as they come, until the job is over."""
    shown: set[Path] = set()
    while not job.is_over():
        time.sleep(_POLL_S)
        for line in _new_lines(metrics, shown):
            progress.add(line)
    job.wait()
    for line in _new_lines(metrics, shown):
        progress.add(line)


def _quiet_py4j() -> None:
    """Keep py4j from logging tracebacks: what they are about, an interrupt or a JVM that is gone, we tell ourselves."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_worth_telling)


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Tell whether a record of the root logger, to which py4j logs these, is someone else's."""
    return record.module != "java_gateway"


def _new_lines(folder: Path, shown: set[Path]) -> Iterator[dict[str, object]]:
    """Yield the lines of parts finished since the last call: with each checkpoint there are some."""
    for part in sorted(folder.glob("part-*.jsonl")):
        if part not in shown:
            shown.add(part)
            yield from json_lines([part])


def _merge(parts: Path, file: Path) -> None:
    """Join the parts of the metrics in the order of their ticks; each holds the ticks between two checkpoints.

    The file appears whole or not at all, because it says that all outputs are there.
    """
    joined = parts.with_name("joined.jsonl")
    with joined.open("wb") as out:
        for part in sorted(parts.glob("part-*.jsonl"), key=_first_tick):
            with part.open("rb") as lines:
                shutil.copyfileobj(lines, out)
    joined.replace(file)


def _first_tick(part: Path) -> tuple[bool, int]:
    """Return where a part belongs: by its first line, the final line after all others."""
    line: Any = next(json_lines([part]))
    return bool(line.get("final")), line["tick"]
