"""What a check of the doctor finds: a state, what was seen, and, unless all is well, what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `headwater doctor`."""

    state: State
    name: str  # of the check
    seen: str
    remedy: str = ""  # what to do; empty only where the state is ok

    def __str__(self) -> str:
        """`fail  disk: 0.3 GB free in /tmp; make room`."""
        return f"{self.state:<4}  {self.name}: {self.seen}" + (f"; {self.remedy}" if self.remedy else "")


Findings = Iterator[Finding]


def judge(name: str, value: float, *, warn_below: float, fail_below: float, seen: str, remedy: str) -> Finding:
    """Return the finding on something of which there must be enough."""
    if value < fail_below:
        return Finding("fail", name, seen, remedy)
    if value < warn_below:
        return Finding("warn", name, seen, remedy)
    return Finding("ok", name, seen)
