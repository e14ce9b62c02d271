"""Laws of the report's page: it loads nothing, it trusts no text, and it holds the report's figures."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from jobs.report_chart import NARROW, WIDE, Line, learning_curve, short
from jobs.report_html import render_report, write_report_html
from jobs.versions import versions
from online.evaluation.outcomes import collect
from online.evaluation.summary import evaluate
from online.report import ListsDigest, build_report
from tests.outcomes import delivered, random_run

VOID = {"meta", "line", "path", "rect", "br"}


class Balanced(HTMLParser):
    """Fails where tags do not close in order; collects the text and the tags' names."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not {"src", "href", "onload", "onclick"} & {name for name, _ in attrs}
        if tag not in VOID - {"path", "rect"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def parse(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def report_of(n: int = 400, **changes: Any) -> dict[str, Any]:
    run = changes.get("run", random_run(n))
    parts: dict[str, Any] = {
        "events": n + 5,
        "accepted": n,
        "duplicates": 1,
        "reasons": {"late": 1, "bad_json": 3},
        "lists": ListsDigest(7, "11" * 32),
        "head_sha256": "22" * 32,
        "run": run,
        "evaluation": evaluate(run, delivered((0, 500, [1, 2]))),
        "wall_s": 90.0,
        "config": {"name": "films", "lists": {"candidates": "not_in_basket"}, "learning": {"seed": 7, "rate": []}},
        "versions": {"numpy": "2.1"},
        "extra": {
            "engine": "flink",
            "mode": "thread",
            "parallelism": 2,
            "items": 1234,
            "first_ms": 0,
            "last_ms": 86_400_000,
        },
    }
    return build_report(**(parts | changes))


def test_page_is_self_contained() -> None:
    """No script, no link, no address: the page can be mailed, and says the same offline."""
    page = render_report(report_of())
    parsed = parse(page)
    assert not {"script", "link", "img", "iframe", "object"} & parsed.tags
    assert not re.search(r"https?://|url\(|@import|\$\w", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_page_holds_the_figures() -> None:
    """Counts, quality, fingerprints, reasons and configuration are there."""
    report = report_of()
    words = parse(render_report(report)).words
    own = report["metrics"]["headwater"]["all"]
    for text in (
        "films", f"{own['hr@10']:.4f}", f"{own['ndcg@20']:.4f}", "11" * 32, "22" * 32, "bad_json",
        "the value is not JSON", "1970-01-01 to 1970-01-02", "1,234 items",
        "engine flink, thread mode, parallelism 2", "candidates: not in basket",
        "popularity, half-life 500", "learning.seed", "405", "1 min 30 s", "Last 10 %, known users",
    ):  # fmt: skip
        assert text in words, text


def test_text_is_escaped() -> None:
    """Names from files and configurations are shown, not run."""
    evil = '</title><script>alert(1)</script>"&'
    report = report_of(
        config={"name": evil, evil: evil}, versions={evil: evil}, reasons={evil: 4}, extra={"engine": evil}
    )
    report["metrics"][evil] = report["metrics"].pop("head")
    report["curves"]["hr@10"][evil] = report["curves"]["hr@10"].pop("head")
    parsed = parse(render_report(report))
    assert "script" not in parsed.tags
    assert evil in parsed.words


def test_a_run_without_events_has_a_page() -> None:
    """An empty run is told as such."""
    none: dict[str, Any] = {"events": 4, "accepted": 0, "duplicates": 0, "run": collect([])}
    words = parse(render_report(report_of(n=0, **none))).words
    assert "No event was scored" in words
    assert "there is no curve" in words


def test_a_blend_that_loses_is_told() -> None:
    """The page does not praise what is worse than one of its parts."""
    report = report_of()
    assert "does not beat its best expert" not in render_report(report)
    report["metrics"]["headwater"]["all"]["hr@10"] = 0.001
    assert "does not beat its best expert" in render_report(report)


def test_page_is_written(tmp_path: Path) -> None:
    """The page is UTF-8 whatever the locale."""
    write_report_html(report_of(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes().decode("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("frame", [WIDE, NARROW])
def test_curve_stays_inside_its_frame(frame: Any) -> None:
    """Every point lies inside; a gap breaks the line instead of falling to zero."""
    svg = learning_curve(
        [10, 20, 30], [Line("a", "s0", [0.1, None, 0.99]), Line("b", "s1", [0.0, 0.0, 0.0])], frame, "t"
    )
    places = [float(x) for x in re.findall(r'd="[^"]*"', svg)[0] and re.findall(r"[ML]([\d.]+) ", svg)]
    assert all(frame.left <= x <= frame.width - frame.right for x in places)
    assert re.search(r'class="line s0" d="M[\d. ]+M[\d. ]+"', svg)


def test_axis_numbers() -> None:
    """Events on the axis are short."""
    assert [short(n) for n in (0, 500, 25_000, 1_500_000)] == ["0", "500", "25k", "1.5M"]


def test_versions_name_what_matters() -> None:
    """The versions that bit equality depends on are there."""
    assert {"numpy", "numba", "python", "cpu"} <= versions().keys()
