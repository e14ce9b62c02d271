"""The plain-Python engine: the oracle over a canonical log, written where Flink would write."""

from pathlib import Path
from typing import BinaryIO

import msgspec

from jobs.catalogues import load_catalogue
from jobs.interpreter import tune_interpreter
from jobs.logs import read_canonical
from jobs.progress import Progress
from jobs.replay import DEAD_LETTERS, LISTS, METRICS, WORK, Replay, source_name
from online.learner import Learner
from online.loop import run_loop
from online.outputs import dead_letter_message, list_message, metrics_message


def run_python(replay: Replay, progress: Progress) -> None:
    """Run the loop; see `jobs.replay.Engine`."""
    settings = replay.config.settings()
    learner = Learner(settings, load_catalogue(replay.vectors, settings))
    topic = source_name(replay)
    tune_interpreter()
    with (
        _part(replay.out / LISTS) as lists,
        _part(replay.out / DEAD_LETTERS) as dead_letters,
        (replay.out / WORK / METRICS).open("wb") as metrics,
    ):
        for result in run_loop(read_canonical(replay.log), learner, settings):
            lists.writelines(list_message(made).value + b"\n" for made in result.lists)
            dead_letters.writelines(dead_letter_message(topic, letter).value + b"\n" for letter in result.dead)
            for line in (result.metrics, result.final):
                if line is not None:
                    metrics.write(metrics_message(settings.domain, line).value + b"\n")
                    progress.add(msgspec.to_builtins(line))
    (replay.out / WORK / METRICS).replace(replay.out / METRICS)  # last, so that it says that all is there


def _part(folder: Path) -> BinaryIO:
    return (folder / "part-0.jsonl").open("wb")
