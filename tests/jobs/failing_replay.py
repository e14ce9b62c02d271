"""A replay whose canonical log is damaged, for tests: FIELDS that line 1000 keeps, then the replay's arguments."""

import sys
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import patch

from jobs.cli import main
from jobs.unknown_items import Unknown, count_unknown
from online.record import FIELD


def replay(fields: int, arguments: list[str]) -> int:
    """Run the replay; its log is damaged after the last time that it is read by this process itself."""

    def damaged(log: Path, known: Iterable[str]) -> Unknown:
        found = count_unknown(log, known)
        lines = log.read_text(encoding="utf-8").split("\n")
        lines[1000] = FIELD.join(lines[1000].split(FIELD)[:fields])
        log.write_text("\n".join(lines), encoding="utf-8")
        return found

    with patch("jobs.replay.count_unknown", damaged):
        return main(["replay", *arguments])


if __name__ == "__main__":
    sys.exit(replay(int(sys.argv[1]), sys.argv[2:]))
