"""Logs for tests of the replay: the first real events, their items' vectors by hash, and the replay itself."""

import csv
import gzip
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jobs.cli import main
from models.encoder import id_vector
from models.vectors import ItemVectors, write_vectors

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
CANDIDATES = {"movietweetings": "unseen", "online_retail": "not_in_basket"}
HOUR_MS = 3_600_000  # the default bound of lateness
SAME = ("events", "accepted", "duplicates", "late", "dead_letters", "lists", "lists_sha256", "head_sha256", "metrics")
"""Keys of a report that must not depend on the engine, the mode, the parallelism or the order of the file."""

ROWS = [
    {"user": "u1", "item": "a", "ts": "1700000000"},
    {"user": "u2", "item": "b", "ts": "1700000100"},
    {"user": "u1", "item": "c", "ts": "1700003700"},
    {"user": "u2", "item": "a", "ts": "1700010000"},
]

Rows = list[dict[str, str]]


class Log(NamedTuple):
    """An events file and the vectors of its items."""

    events: Path
    vectors: Path
    candidates: str = "unseen"

    @property
    def arguments(self) -> list[str]:
        """As the command line takes them."""
        named = ["--events", self.events, "--items", self.vectors, "--vectors", self.vectors]
        return [*map(str, named), "--candidates", self.candidates]


def real_rows(name: str, count: int) -> Rows:
    """Return the first events of an example."""
    with gzip.open(EXAMPLES / name / "events.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return [row for row, _ in zip(csv.DictReader(file), range(count), strict=False)]


def real_log(name: str, count: int, folder: Path) -> Log:
    """Write the first events of an example, and a catalogue of only the items that occur in them."""
    rows = real_rows(name, count)
    return Log(write_csv(folder / f"{name}.csv", rows), vectors_of(rows, folder), CANDIDATES[name])


def shuffled(rows: Rows, seed: int = 1) -> Rows:
    """Return the rows in another order, none of them late: each is delayed by less than the bound.

    The rows of a basket keep their order: without event ids it is the only thing that tells it.
    """
    random_ = random.Random(seed)
    delay: dict[str, float] = {}
    keys = []
    for number, row in enumerate(rows):
        basket = row.get("basket") or str(-number)
        keys.append(int(row["ts"]) * 1000 + delay.setdefault(basket, random_.random() * HOUR_MS))
    order = sorted(range(len(rows)), key=keys.__getitem__)
    assert order != list(range(len(rows)))
    return [rows[place] for place in order]


def write_csv(file: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write rows with the first one's columns."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def vectors_of(rows: Iterable[Mapping[str, object]], folder: Path, dim: int = 32) -> Path:
    """Write vectors of the items in the rows, each from its id."""
    items = sorted({str(row["item"]) for row in rows})
    file = folder / "items.safetensors"
    vectors = np.stack([id_vector(item, dim) for item in items]).astype(np.float32)
    write_vectors(file, ItemVectors(f"hash-{dim}", tuple(items), vectors, np.zeros(len(items), np.int64)))
    return file


def replay(arguments: Sequence[str], out: Path, *more: str) -> dict[str, Any]:
    """Run `headwater replay` in this process and return its report."""
    assert main(["replay", *arguments, "--out", str(out), *more]) == 0
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report


def same(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be equal for one log however it is replayed."""
    return {key: report[key] for key in SAME}


def lines_in(folder: Path) -> list[dict[str, Any]]:
    """Return the JSON lines of an output folder."""
    return [
        json.loads(line)
        for file in sorted(folder.iterdir())
        if not file.name.startswith(".")
        for line in file.read_bytes().splitlines()  # not of text, which ends lines at U+2028 too
    ]
