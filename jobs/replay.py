"""`headwater replay`: a log from files through the loop, then what came out and how good it was."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from jobs.children import environment, headwater
from jobs.config import Config, config_from_flags, load_config
from jobs.evaluating import Wanted, evaluate_run
from jobs.flink_env import CHECKPOINTS, LOGS
from jobs.logs import LogSummary, write_canonical
from jobs.orphans import take_over
from jobs.progress import Progress, day, told_at_the_end
from jobs.unfinished import NOTE, hold, inputs_of, is_noted, newest_checkpoint, note
from jobs.unknown_items import count_unknown
from jobs.versions import versions
from models.vectors import read_vectors
from online.record import LATE
from online.report import build_report, count_reasons, digest_lists, json_lines
from state.errors import HeadwaterError

LISTS, DEAD_LETTERS, METRICS = "recommendations", "dead_letters", "metrics.jsonl"
REPORT, PAGE, WORK = "report.json", "report.html", ".work"
VECTORS = "vectors.safetensors"
_REMOVED = (LISTS, DEAD_LETTERS, METRICS, REPORT, PAGE)  # before a run; all else in the folder is the user's


class Replay(NamedTuple):
    """What an engine is given: all of it on this machine's disk."""

    config: Config
    log: Path  # canonical
    vectors: Path
    out: Path  # has no outputs yet, or those up to `restore`
    mode: str  # thread or process; the plain-Python engine has none
    restore: Path | None = None  # the checkpoint to go on from

    @property
    def checkpoints(self) -> Path:
        """The folder of this replay's checkpoints, and of no other's."""
        named = self.config.flink.checkpoints
        if named is None:
            return self.out / WORK / CHECKPOINTS
        return named / f"{self.config.name}-{hashlib.sha256(os.fsencode(self.out)).hexdigest()[:12]}"


class Engine(Protocol):
    """Runs the loop over a canonical log and writes LISTS, DEAD_LETTERS and, when all is there, METRICS below `out`."""

    def __call__(self, replay: Replay, progress: Progress) -> None: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config", type=Path, metavar="F", help="job.toml; the flags below win over it")
    parser.add_argument("--events", type=Path, metavar="F", help="events: CSV, JSON lines or Parquet, plain or gzip")
    parser.add_argument("--items", type=Path, metavar="F", help="items: the same formats")
    parser.add_argument("--vectors", type=Path, metavar="F", help="made by headwater encode; else they are made first")
    parser.add_argument("--candidates", choices=("unseen", "not_in_basket", "all"), help="which items a list may hold")
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder (out/NAME)")
    parser.add_argument("--tick", metavar="T", help="event time between refreshes, as in 5m or 1h")
    parser.add_argument(
        "--why", action="store_true", default=None, help="lists tell what each part of the blend adds to each score"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="read only the first N rows")
    parser.add_argument("--engine", choices=("flink", "python"), default="flink", help="(%(default)s)")
    parser.add_argument("--mode", choices=("auto", "thread", "process"), help="how Flink runs Python (auto)")
    parser.add_argument("--parallelism", type=int, metavar="N", help="of the Flink job (1)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with a replay into --out that was killed; the same bytes as without (Flink goes on from its last "
        "checkpoint, plain Python from the beginning)",
    )
    parser.add_argument(
        "--no-peers",
        action="store_true",
        help="leave out RAISGD and River's BiasedMF, about 50 us an event after the run",
    )
    parser.add_argument(
        "--frozen-control", action="store_true",
        help="tell what learning was worth: the run once more in plain Python, learning stopped at 90 %%",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    config = _config(args)
    if args.limit is not None and args.limit < 1:
        raise HeadwaterError(f"--limit is {args.limit}; expected at least 1; leave it out to read the whole log")
    engine, mode = _engine(args.engine, config)
    out: Path = (args.out or Path("out") / config.name).absolute()
    wanted = Wanted(not args.no_peers, args.frozen_control)
    try:
        return _replay(config, args.limit, engine, mode, out, wanted, resume=args.resume)
    except KeyboardInterrupt:
        print(f"\ninterrupted: {out} is not complete; go on with --resume, or run it again", file=sys.stderr)
        raise
    except BrokenPipeError:  # of standard output; jobs/cli.py knows it
        raise
    except OSError as error:  # a full disk; what is read has told its own
        raise HeadwaterError(
            f"cannot write {error.filename or out}: {error.strerror}; expected a folder with room; "
            "free space, or choose another --out"
        ) from None


def _replay(
    config: Config, limit: int | None, engine: Engine, mode: str, out: Path, wanted: Wanted, *, resume: bool
) -> int:
    """Read, run, report; of the folder for work a replay that fails leaves the logs, which its error names."""
    _check_inputs(config, out)
    lock = _open(out, resume=resume)
    try:
        report = _run(config, limit, engine, mode, out, wanted, resume=resume)
    except KeyboardInterrupt:  # it may go on
        raise
    except BaseException:
        if not resume:
            _tidy(out / WORK)
        raise
    finally:
        os.close(lock)
    shutil.rmtree(out / WORK)
    print(told_at_the_end(report, out))
    return 0


def _run(
    config: Config, limit: int | None, engine: Engine, mode: str, out: Path, wanted: Wanted, *, resume: bool
) -> dict[str, Any]:
    """Return the report. What an earlier replay left goes once the log and the vectors are known to be good."""
    log = out / WORK / "events.log"
    summary = write_canonical(config.events, log, limit=limit)
    print(_told(config, summary), file=sys.stderr)
    vectors = _vectors(config, out, resume=resume)
    items = read_vectors(vectors)  # here, where a damaged file is one line, and not in the engine
    print(f"{vectors.name}: {len(items.items):,} items, vectors of {items.model_id}", file=sys.stderr)
    unknown = count_unknown(log, items.items)
    if unknown.most:
        print(unknown.warning(next(iter(items.items), ""), _advice(config)), file=sys.stderr)
    replay = Replay(config, log, vectors, out, mode)
    inputs = inputs_of(config, mode, summary.sha256, vectors)
    is_known = resume and is_noted(out / WORK, inputs)
    progress = Progress(summary.records - summary.flags.get(LATE, 0))
    start = time.monotonic()
    if not (is_known and (out / METRICS).exists()):  # else all was there but the report
        replay = replay._replace(restore=newest_checkpoint(replay.checkpoints) if is_known else None)
        if resume:
            print(f"goes on from {replay.restore or 'the beginning'}", file=sys.stderr)
        if replay.restore is None:
            _clear(replay)
            note(out / WORK, inputs)
        with progress:
            engine(replay, progress)
    wall_s = time.monotonic() - start
    shutil.rmtree(replay.checkpoints, ignore_errors=True)
    _sweep(out)
    about = {
        "engine": "flink" if mode else "python",
        "mode": mode,
        "parallelism": config.flink.parallelism if mode else 1,
        "items": len(items.items),
        "unknown_items": unknown.items,
        "unknown_item_events": unknown.events,
    }
    del items
    return _report(replay, summary, wall_s, about, wanted)


def _advice(config: Config) -> str:
    """Return what to look at when log and catalogue do not speak of the same items."""
    if config.vectors.path is not None:
        return f"is {config.vectors.path} made of this log's items, and does events.columns.item name the right column?"
    return "does items.columns.item name the right column, and events.columns.item?"


def _config(args: argparse.Namespace) -> Config:
    overrides = {
        "lists.tick": args.tick,
        "lists.why": args.why,
        "flink.mode": args.mode,
        "flink.parallelism": args.parallelism,
        "vectors.path": None if args.vectors is None else str(args.vectors.absolute()),
    }
    if args.config is None:
        if args.events is None or args.items is None:
            raise HeadwaterError(
                "no log was named; expected --config job.toml, or --events F and --items F; "
                "try: headwater replay --config examples/movietweetings/job.toml"
            )
        return config_from_flags(args.events, args.items, args.candidates or "unseen", overrides)
    for flag in ("events", "items"):
        path = getattr(args, flag)
        overrides[f"{flag}.path"] = None if path is None else str(path.absolute())
    config = load_config(args.config, {**overrides, "lists.candidates": args.candidates})
    if config.events.path is None:
        raise HeadwaterError(
            f"{args.config} reads events from the topic {config.events.topic!r}; a replay reads files; "
            "name a file with --events, or use headwater run"
        )
    return config.without_topics()


def _check_inputs(config: Config, out: Path) -> None:
    """Hold that no input lies where outputs go: it would be removed before it is read."""
    for path in (config.events.path, config.items.path, config.vectors.path):
        for name in (*_REMOVED, WORK):
            if path is not None and path.resolve().is_relative_to((out / name).resolve()):
                raise HeadwaterError(
                    f"{path} is where this replay writes {name}; an input there would be removed; choose another --out"
                )


def _open(out: Path, *, resume: bool) -> int:
    """Make the folder and, anew unless a replay is to go on, its folder for work; return the lock that holds it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = hold(out, f"another replay writes to {out}; wait for its end, or choose another --out")
        if ended := take_over(out):
            print(f"ended {ended} processes that a killed replay had left", file=sys.stderr)
        if not resume:
            _remove(out / WORK)
        (out / WORK).mkdir(exist_ok=True)
    except OSError as error:
        raise HeadwaterError(
            f"cannot use {out} for outputs: {error.strerror}; expected a folder to write in; choose another --out"
        ) from None
    return lock


def _clear(replay: Replay) -> None:
    """Remove what an earlier replay left, and nothing else."""
    out = replay.out
    for name in _REMOVED:
        _remove(out / name)
    if not replay.vectors.samefile(out / VECTORS if (out / VECTORS).exists() else out):
        _remove(out / VECTORS)
    for path in (out / WORK / METRICS, replay.checkpoints):
        _remove(path)
    for name in (LISTS, DEAD_LETTERS):
        (out / name).mkdir()


def _sweep(out: Path) -> None:
    """Remove the parts that a crash left unfinished."""
    for name in (LISTS, DEAD_LETTERS):
        for part in (out / name).glob(".part-*"):
            part.unlink()


def _tidy(work: Path) -> None:
    """Remove the log, which may be large, and what Flink kept; leave its logs."""
    for path in work.iterdir():
        if path.name != LOGS:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    with suppress(OSError):  # there are logs
        work.rmdir()


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _vectors(config: Config, out: Path, *, resume: bool) -> Path:
    """Return the file of item vectors, made now unless the configuration names one, or a killed replay had made it."""
    if config.vectors.path is not None:
        if not config.vectors.path.is_file():
            raise HeadwaterError(
                f"there is no vector file {config.vectors.path}; expected one made by headwater encode; "
                "make it, or leave vectors.path out and the replay makes it"
            )
        return config.vectors.path.absolute()  # Flink works in another folder
    if config.items.path is None:
        raise HeadwaterError("a replay needs items from a file; set items.path, or vectors.path; or give --items F")
    path = out / VECTORS
    if resume and path.exists() and (out / WORK / NOTE).exists():
        return path
    command = _encode(config, config.items.path, path)
    # A process of its own: the language model's memory is gone before the job starts.
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment())
    if done.returncode:
        raise HeadwaterError("the items could not be encoded, see above; mend that, or name vectors with --vectors F")
    return path


def _encode(config: Config, items: Path, vectors: Path) -> list[str]:
    """Return the command that makes the vectors; each flag holds its value, which may begin with a dash."""
    columns = config.items.columns
    flags = {"items": items, "out": vectors, "model": config.vectors.model}
    named = {"item-column": columns.item, "available-at-column": columns.available_at}
    flags |= {flag: column for flag, column in named.items() if column is not None}
    given = [f"--{flag}={value}" for flag, value in flags.items()]
    return headwater("encode", *given, *(f"--text-column={name}" for name in columns.text or ()))


def source_name(replay: Replay) -> str:
    """Return what stands for the topic in the dead letters of a file: its name."""
    return "" if replay.config.events.path is None else replay.config.events.path.name


def _engine(name: str, config: Config) -> tuple[Engine, str]:
    """Return the engine and the execution mode it uses."""
    if name == "python":
        from jobs.python_engine import run_python

        return run_python, ""
    from jobs.flink_engine import run_flink
    from jobs.modes import choose_mode

    return run_flink, choose_mode(config.flink.mode)


def _report(
    replay: Replay, summary: LogSummary, wall_s: float, about: Mapping[str, Any], wanted: Wanted
) -> dict[str, Any]:
    """Write report.json and report.html; return the report."""
    from jobs.report_html import write_report_html

    config, out = replay.config, replay.out
    final = _final(out / METRICS)
    lists = digest_lists([out / LISTS])
    if lists.lists != final["lists"]:
        raise HeadwaterError(
            f"{out / LISTS} holds {lists.lists:,} lists, the run made {final['lists']:,}; expected equal numbers; "
            "did two replays write to one folder? run it again"
        )
    settings = config.settings()
    run, evaluation = evaluate_run(out / METRICS, out / LISTS, replay.log, replay.vectors, settings, wanted)
    report = build_report(
        events=summary.records,
        accepted=final["accepted"],
        duplicates=final["duplicates"],
        reasons=count_reasons([out / DEAD_LETTERS]),
        lists=lists,
        head_sha256=final["head_sha256"],
        run=run,
        evaluation=evaluation,
        wall_s=wall_s,
        config=config.as_dict(),
        versions=versions(),
        extra={**about, "input_sha256": summary.sha256, "first_ms": summary.first_ms, "last_ms": summary.last_ms},
    )
    (out / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    write_report_html(report, out / PAGE)
    return report


def _final(metrics: Path) -> dict[str, Any]:
    """Return the last metrics line, which holds the totals."""
    final: dict[str, Any] | None = next((line for line in json_lines([metrics]) if line.get("final")), None)
    if final is None:
        raise HeadwaterError(f"{metrics} has no final line: the run ended early; see the log, run it again")
    return final


def _told(config: Config, summary: LogSummary) -> str:
    """Return what a person wants to know of the log: how long it is, and what is wrong in it."""
    name = "" if config.events.path is None else config.events.path.name
    lines = [f"{name}: {summary.records:,} events from {day(summary.first_ms)} to {day(summary.last_ms)}"]
    lines += [f"  {count:,} {flag}: {summary.examples[flag]}" for flag, count in summary.flags.items()]
    return "\n".join(lines)
