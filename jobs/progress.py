"""What a replay tells a person: where it is, on standard error, and at its end what came out."""

import datetime
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from online.evaluation.ranks import hits

_TERMINAL_S, _PLAIN_S = 0.2, 10.0  # between two lines


class Progress:
    """Counts metrics lines as they come; a line that is rewritten on a terminal, one every ten seconds elsewhere."""

    def __init__(self, records: int) -> None:
        """Expect `records` records in the ticks."""
        self._records = records
        self._done = self._hits = self._scored = self._tick_ms = 0
        self._first: tuple[float, int] | None = None  # when the first line came, and how many records it held
        self._shown = self._width = 0.0
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        self._shown = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal and self._done:
            self._show(time.monotonic())
            print(file=sys.stderr)

    def add(self, line: Mapping[str, Any]) -> None:
        """Count one decoded metrics line, and show where the run is when it is time."""
        if line.get("final"):
            return
        hit, scored = hits(line["ranks"]["headwater"])
        self._hits += hit
        self._scored += scored
        self._done += line["accepted"] + line["duplicates"] + line["dead_letters"]
        self._tick_ms = line["tick"]
        now = time.monotonic()
        self._first = self._first or (now, self._done)
        if now - self._shown >= (_TERMINAL_S if self._terminal else _PLAIN_S):
            self._shown = now
            self._show(now)

    def _show(self, now: float) -> None:
        since, before = self._first or (now, 0)  # without the engine's start
        rate = f"{(self._done - before) / (now - since):7,.0f} events/s" if now > since else ""
        text = (
            f"{self._done:>11,} of {self._records:,} events  {day(self._tick_ms)}  {rate:>16}  "
            f"HR@10 so far {self._hits / max(1, self._scored):.4f}"
        )
        if self._terminal:
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr)


def day(at_ms: int) -> str:
    """Return an event time to the minute, in UTC; a tick may end after the year 9999, the last that can be told."""
    try:
        at = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=at_ms)  # noqa: DTZ001  # UTC
    except OverflowError:
        at = datetime.datetime.max  # noqa: DTZ901  # UTC
    return f"{at:%Y-%m-%d %H:%M}"


def told_at_the_end(report: Mapping[str, Any], out: Path) -> str:
    """Return the summary of a report: what went in, how good the predictions were, where everything lies."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in report["dead_letters_by_reason"].items())
    return "\n".join(
        [
            f"{report['events']:,} events = {report['accepted']:,} accepted + {report['duplicates']:,} duplicates "
            f"+ {report['late']:,} late + {report['dead_letters']:,} dead letters{reasons and f' ({reasons})'}",
            f"{report['lists']:,} lists in {report['wall_s']:.1f} s: {report['events_per_s']:,.0f} events/s, "
            "the engine's start included",
            *_unknown(report),
            "",
            "Each event was predicted before it was learned: was its item among the first ten of the whole catalogue?",
            "",
            *_table(report["metrics"]),
            "",
            *_worth(report["evaluation"]),
            "",
            f"report        {out / 'report.html'}",
            f"lists         {out / 'recommendations'}",
            *([f"dead letters  {out / 'dead_letters'}"] if reasons else []),
            f"fingerprints  lists {report['lists_sha256'][:16]}, head {report['head_sha256'][:16]}: "
            "the same for every engine, mode and parallelism",
        ]
    )


def _worth(evaluation: Mapping[str, Any]) -> list[str]:
    """Return what delivered lists hit, and what learning was worth where that was measured."""
    serving = evaluation["serving"]
    lines = [
        f"The lists that users really had, made at the end of a tick, hit {serving['lags'][0]['hr@10']:.4f}; "
        f"{serving['lags'][0]['with_list']:.0%} of the events had one."
    ]
    if control := evaluation["frozen_control"]:
        minus = control["slices"]["tail"]["hr@10"]["minus"]
        lines.append(f"Learning was worth {minus['mean']:+.4f} HR@10 after 90 % of the events: {minus['verdict']}.")
    return lines


def _unknown(report: Mapping[str, Any]) -> list[str]:
    """Return a line on items that the catalogue lacks: none when it has all."""
    items, events = report["unknown_items"], report["unknown_item_events"]
    if not items:
        return []
    most = ": most of the log, see the warning above" if 2 * events > report["events"] else ""
    return [f"{events:,} events name {items:,} items that the catalogue lacks, learned without a text{most}"]


def _table(metrics: Mapping[str, Any]) -> list[str]:
    """Return HR@10 and NDCG@10 of the whole and then of each expert, best first."""
    names = sorted(metrics, key=lambda name: (name != "headwater", -metrics[name]["all"]["hr@10"], name))
    width = max(len(name) for name in names) + 2
    return [
        f"  {'':<{width}}   HR@10  NDCG@10",
        *(f"  {name:<{width}}  {metrics[name]['all']['hr@10']:.4f}   {metrics[name]['all']['ndcg@10']:.4f}"
          for name in names),
    ]  # fmt: skip
