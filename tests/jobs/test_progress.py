"""What a replay tells while it runs: where it is, on one line of a terminal, now and then in a file."""

import io
import sys

import pytest

from jobs.progress import Progress, day

LINE = {
    "tick": 1_700_003_599_999,
    "accepted": 3,
    "duplicates": 1,
    "dead_letters": 1,
    "ranks": {"headwater": [1, 11, 0]},
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line is rewritten; it ends with where the run ended."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(10) as progress:
        progress.add(LINE)
        progress.add(LINE)
        progress.add({"final": True})
    text = terminal.getvalue()
    assert text.endswith("HR@10 so far 0.5000\n")
    assert text.count("\n") == 1
    assert "10 of 10 events  2023-11-14 23:13" in text.rpartition("\r")[2]


def test_progress_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log file there is a line every ten seconds, none for a short run."""
    seconds = iter([0.0, 1.0, 11.0, 12.0, 22.0])
    monkeypatch.setattr("jobs.progress.time.monotonic", lambda: next(seconds))
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with Progress(20) as progress:
        for _ in range(4):
            progress.add(LINE)
    assert [" ".join(line.split()) for line in file.getvalue().splitlines()] == [
        "10 of 20 events 2023-11-14 23:13 0 events/s HR@10 so far 0.5000",
        "20 of 20 events 2023-11-14 23:13 1 events/s HR@10 so far 0.5000",
    ]


def test_days() -> None:
    """A time is shown in UTC to the year 9999, whatever the machine's zone."""
    assert [day(0), day(253_402_300_799_999)] == ["1970-01-01 00:00", "9999-12-31 23:59"]


def test_a_tick_that_ends_after_the_last_year(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event of the year 9999 is one that we take, and its week may end in the next."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(5) as progress:
        progress.add({**LINE, "tick": 253_402_300_799_999 + 7 * 86_400_000})
    assert "9999-12-31 23:59" in terminal.getvalue()
