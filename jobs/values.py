"""Reads one value of a configuration: its type, its range, its unit; every error says what to write instead."""

import dataclasses
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from state.errors import HeadwaterError

T = TypeVar("T")
Read = Callable[["At", object], Any]

_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,12})(ms|s|m|h|d)")
_HOST, _PORT = re.compile(r"[^\s,]+"), re.compile(r"[0-9]{1,5}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")  # Kafka's own rule


class At(NamedTuple):
    """Where a value stands."""

    key: str  # with its tables: "events.columns.time"
    source: str  # the file, or "the command line"
    folder: Path  # that relative paths start from
    flags: Mapping[str, str] = {}  # of the command line: key -> the flag that sets it

    def below(self, key: str) -> "At":
        """Return the place of `key` inside this one."""
        return self._replace(key=f"{self.key}.{key}" if self.key else key)

    def error(self, got: object, expected: str, remedy: str = "") -> HeadwaterError:
        """Make the error: what is wrong, what came, what was expected, what to do."""
        flag = self.flags.get(self.key)
        remedy = remedy or (f"give another {flag}" if flag else f"change it in {self.source}")
        return HeadwaterError(f"{flag or self.key} is {_shown(got)}; expected {expected}; {remedy}")


def table(cls: type[T], readers: Mapping[str, Read] | None = None) -> Read:
    """Read a table into the dataclass `cls`.

    A field annotated `Annotated[type, read]` is read by `read`; a dataclass is a table inside this one; another field
    by its type alone. The key is the field's name; a duration's key leaves out the unit: `tick_ms` is read from `tick`.

    Args:
        cls: a dataclass.
        readers: field -> how it is read, where `cls` itself cannot say.
    """

    def read(at: At, got: object) -> T:
        if not isinstance(got, Mapping):
            raise at.error(got, "a table", f"write it as [{at.key}] in {at.source}")
        known = dict(_keys(cls))
        read = {}
        for key, value in got.items():
            if key not in known:
                raise unknown_key(at, key, known)
            name, reader = known[key]
            read[name] = (readers or {}).get(name, reader)(at.below(key), value)
        return cls(**read)

    return read


def _keys(cls: type) -> Iterable[tuple[str, tuple[str, Read]]]:
    """Yield key -> (field, reader)."""
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield name, (name, table(hint))
        elif get_origin(hint) is Annotated:
            read = hint.__metadata__[0]
            yield (name.removesuffix("_ms") if hasattr(read, "is_duration") else name), (name, read)
        else:
            yield name, (name, _by_type(hint))


def unknown_key(at: At, key: str, known: Iterable[str]) -> HeadwaterError:
    """Make the error for a key that means nothing, naming the nearest that does."""
    known = list(known)
    where = f"table [{at.key}]" if at.key else "the top level"
    near = nearest(key, known)
    advice = f"did you mean {near!r}?" if near else "remove it"
    return HeadwaterError(f"unknown key {key!r} in {where} of {at.source}; known are {', '.join(known)}; {advice}")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most like `word`, or "" when none is."""
    lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return lower[found[0]] if found else ""


def text(at: At, got: object) -> str:
    """Read text."""
    if not isinstance(got, str):
        raise at.error(got, "text in quotes")
    return got


def matching(pattern: str, expected: str) -> Read:
    """Read text that matches `pattern` in full."""
    compiled = re.compile(pattern)

    def read(at: At, got: object) -> str:
        if not compiled.fullmatch(text(at, got)):
            raise at.error(got, expected)
        return str(got)

    return read


def brokers(at: At, got: object) -> str:
    """Read the addresses of one or more brokers."""
    for address in text(at, got).split(","):
        host, _, port = address.rpartition(":")
        if not _HOST.fullmatch(host) or not _PORT.fullmatch(port) or not 1 <= int(port) <= 65_535:
            raise at.error(got, 'HOST:PORT, several joined by ",", each port from 1 to 65535')
    return str(got)


def topic(at: At, got: object) -> str:
    """Read a topic's name."""
    if not _TOPIC.fullmatch(text(at, got)) or got in (".", ".."):
        raise at.error(got, "a Kafka topic name: 1 to 249 of A-Z a-z 0-9 . _ -")
    return str(got)


def path(at: At, got: object) -> Path | None:
    """Read a path, relative to the folder of the configuration; "" is none."""
    return at.folder / Path(text(at, got)).expanduser() if text(at, got) else None


def choice(*options: str) -> Read:
    """Read one of a few words."""

    def read(at: At, got: object) -> str:
        if got not in options:
            near = nearest(got, options) if isinstance(got, str) else ""
            raise at.error(got, f"one of {', '.join(options)}", f"did you mean {near!r}?" if near else "")
        return str(got)

    return read


def whole(low: int, high: int) -> Read:
    """Read a whole number of [low, high]."""

    def read(at: At, got: object) -> int:
        if not isinstance(got, int) or isinstance(got, bool) or not low <= got <= high:
            raise at.error(got, f"a whole number from {low} to {high}")
        return got

    return read


def number(low: float, high: float) -> Read:
    """Read a number of [low, high], whole or not."""

    def read(at: At, got: object) -> float:
        value = _finite(got)
        if value is None or not low <= value <= high:
            raise at.error(got, f"a number from {low:g} to {high:g}")
        return value

    return read


def numbers(low: float, high: float, most: int) -> Read:
    """Read a list of 1 to `most` numbers of [low, high], no two of which look alike in six digits."""

    def read(at: At, got: object) -> tuple[float, ...]:
        found = [_finite(each) for each in got] if isinstance(got, list) else []
        fitting = [value for value in found if value is not None and low <= value <= high]
        if not 1 <= len(found) <= most or len({f"{value:g}" for value in fitting}) < len(found):
            raise at.error(got, f"a list, each a number from {low:g} to {high:g}, 1 to {most} of them, all different")
        return tuple(fitting)

    return read


def _finite(got: object) -> float | None:
    """Return a finite number of TOML as a float, None for anything else."""
    fits = isinstance(got, int | float) and not isinstance(got, bool) and abs(got) <= sys.float_info.max
    return float(got) if fits else None  # type: ignore[arg-type]  # a number, as just tested


def duration(low: str, high: str) -> Read:
    """Read a duration such as "200ms" into milliseconds, no shorter than `low` and no longer than `high`."""
    low_ms, high_ms = duration_ms(low), duration_ms(high)

    def read(at: At, got: object) -> int:
        ms = duration_ms(got) if isinstance(got, str) else -1
        if not low_ms <= ms <= high_ms:
            quoted = "" if at.key in at.flags else ", in quotes"
            raise at.error(got, f'a duration from "{low}" to "{high}", a whole number and ms, s, m, h or d{quoted}')
        return ms

    read.is_duration = True  # type: ignore[attr-defined]  # see `table`
    return read


def duration_ms(spelled: str) -> int:
    """Return the milliseconds of "1h"; -1 when it is no duration."""
    match = _DURATION.fullmatch(spelled)
    return int(match[1]) * _UNIT_MS[match[2]] if match else -1


def texts(at: At, got: object) -> tuple[str, ...]:
    """Read a list of texts, at least one; that there is none is said by leaving the key out."""
    if not isinstance(got, list) or not got or not all(isinstance(each, str) and each for each in got):
        raise at.error(got, "a list of texts in quotes, at least one", f"correct it in {at.source}, or leave it out")
    return tuple(got)


def properties(at: At, got: object) -> dict[str, str]:
    """Read a table of client properties; TOML's numbers and booleans become the text Kafka takes."""
    if not isinstance(got, Mapping):
        raise at.error(got, "a table of client properties", f"write it as [{at.key}] in {at.source}")
    read = {}
    for key, value in _flat(got):
        if not isinstance(value, str | int | float):
            raise at.below(key).error(value, "text, a number, true or false")
        read[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return read


def _flat(nested: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, object]]:
    """Undo TOML's reading of an unquoted `security.protocol = ...` as tables inside each other."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _by_type(hint: Any) -> Read:
    """Make the reader for a field that says only its type."""

    def read(at: At, got: object) -> object:
        value, fits = _convert(hint, got)
        if not fits:
            raise at.error(got, _named(hint))
        return value

    return read


def _convert(hint: Any, got: object) -> tuple[object, bool]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple and args[1:] == (Ellipsis,):
        if not isinstance(got, list | tuple):
            return None, False
        pairs = [_convert(args[0], each) for each in got]
        return tuple(value for value, _ in pairs), all(fits for _, fits in pairs)
    if origin in (Union, UnionType):
        return next((pair for pair in (_convert(arg, got) for arg in args) if pair[1]), (None, False))
    if args:  # Literal
        return got, got in args
    if hint is float and isinstance(got, int) and not isinstance(got, bool):
        return float(got), True
    if hint is float:
        return got, isinstance(got, float) and got - got == 0  # neither infinite nor NaN
    return got, type(got) is hint


def _named(hint: Any) -> str:
    args = get_args(hint)
    if get_origin(hint) is tuple:
        return f"a list, each {_named(args[0])}"
    if args:
        return " or ".join(_named(arg) if isinstance(arg, type) else repr(arg) for arg in args)
    return {float: "a number", int: "a whole number", str: "text in quotes", bool: "true or false"}.get(hint, str(hint))


def _shown(got: object) -> str:
    shown = "a table" if isinstance(got, Mapping) else repr(got)
    return shown if len(shown) <= 80 else shown[:77] + "..."
