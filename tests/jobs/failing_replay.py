"""A replay whose canonical log is damaged, for tests: FIELDS that line 1000 keeps, then the replay's arguments."""

import sys
from pathlib import Path
from unittest.mock import patch

from jobs.cli import main
from jobs.config import Events
from jobs.logs import LogSummary, write_canonical
from online.record import FIELD


def replay(fields: int, arguments: list[str]) -> int:
    """Run the replay, its log damaged once it is written."""

    def damaged(events: Events, log: Path, *, limit: int | None = None) -> LogSummary:
        summary = write_canonical(events, log, limit=limit)
        lines = log.read_text(encoding="utf-8").split("\n")
        lines[1000] = FIELD.join(lines[1000].split(FIELD)[:fields])
        log.write_text("\n".join(lines), encoding="utf-8")
        return summary

    with patch("jobs.replay.write_canonical", damaged):
        return main(["replay", *arguments])


if __name__ == "__main__":
    sys.exit(replay(int(sys.argv[1]), sys.argv[2:]))
