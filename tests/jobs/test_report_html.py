"""Laws of the report's page: it loads nothing, it trusts no text, and it holds the report's figures."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import report_dots as dots
from jobs.report_chart import NARROW, WIDE, Line, learning_curve, named_curve, short
from jobs.report_html import render_report, write_report_html
from jobs.report_names import label, yardstick
from jobs.versions import versions
from online.evaluation.frozen import Frozen
from online.evaluation.outcomes import collect
from online.evaluation.summary import evaluate
from online.report import ListsDigest, build_report
from tests.outcomes import delivered, random_run

VOID = {"meta", "line", "path", "rect", "circle", "br"}


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
        if tag not in VOID - {"path", "rect", "circle"}:
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
    run = random_run()
    run.ranks[evil] = run.ranks.pop("head")
    report = report_of(
        run=run, config={"name": evil, evil: evil}, versions={evil: evil}, reasons={evil: 4}, extra={"engine": evil}
    )
    parsed = parse(render_report(report))
    assert "script" not in parsed.tags
    assert evil in parsed.words


def test_a_run_without_events_has_a_page() -> None:
    """An empty run is told as such."""
    none: dict[str, Any] = {"events": 4, "accepted": 0, "duplicates": 0, "run": collect([])}
    words = parse(render_report(report_of(n=0, **none))).words
    assert "No event was scored" in words
    assert "there is no curve" in words


def test_every_plot_says_what_good_looks_like() -> None:
    """Each section on quality has a drawing or a table, and one sentence on what is good."""
    page = render_report(report_of())
    sections = re.findall(r"<section>.*?</section>", page, re.DOTALL)
    told = [section for section in sections if "<b>Good:</b>" in section]
    titles = [re.findall("<h2>(.*?)</h2>", section)[0] for section in told]
    assert titles == [
        "Learning curve", "Is it better?", "For whom, and for what?", "Quality against freshness",
        "How surprised it was", "Can its probabilities be believed?", "More measures",
        "What the delivered lists were like",
    ]  # fmt: skip
    assert all("<svg" in section or "<table" in section for section in told)


def test_sections_that_only_some_runs_have() -> None:
    """The frozen control and actions are shown where there are any."""
    run = random_run(600)
    frozen = run._replace(ranks={**run.ranks, "headwater": run.ranks["headwater"] + 5})
    run = run._replace(actions=("", "buy"), action=run.action + 1)
    frozen.ranks["headwater"][:540] = run.ranks["headwater"][:540]
    evaluation = evaluate(run, delivered((0, 500, [1, 2])), Frozen(frozen, 540))
    words = parse(render_report(report_of(600, run=run, evaluation=evaluation))).words
    assert "stopped after event 540, against the run itself. HR@10 of the 60 events after it" in words
    assert "Conversion by action" in words


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


def test_a_curve_need_not_begin_at_zero() -> None:
    """Losses near 8 fill the drawing; event numbers begin where the curve does."""
    svg = learning_curve([1000, 1500, 2000], [Line("a", "s0", [8.1, 7.9, 7.5])], WIDE, "t", from_zero=False)
    ticks = re.findall(r'text-anchor="end">([\d.]+)<', svg)
    assert (float(ticks[0]), float(ticks[-1])) == (7.4, 8.2)
    assert "area" not in svg
    assert re.findall(r'text-anchor="middle">(\w+)<', svg)[0] == "1k"


def test_named_curve_has_a_dot_a_value() -> None:
    """Names at equal distances; a value that is missing has no dot."""
    svg = named_curve(["0 s", "1 s", "1 day"], [Line("a", "s0", [None, 0.2, 0.1])], WIDE, "t")
    assert svg.count("<circle") == 2
    assert re.findall(r'text-anchor="middle">([\w ]+)<', svg) == ["0 s", "1 s", "1 day"]


@pytest.mark.parametrize("layout", [dots.WIDE, dots.NARROW])
def test_dots_lie_in_their_frame(layout: dots.Layout) -> None:
    """Dots, whiskers and the zero between them; a mean without an interval has no whisker."""
    rows = [dots.Row("a", [dots.Dot("x", "s0", 0.1, 0.05, 0.2), dots.Dot("y", "s1", -0.1, None, None)])]
    svg = dots.dot_rows(rows, layout, "t")
    assert (svg.count("<circle"), svg.count("whisker"), svg.count("grid zero")) == (2, 1, 1)
    assert ">-0.00<" not in svg
    low, high = (float(x) for x in re.findall(r'cx="([\d.]+)"', svg))
    start, end = (float(x) for x in re.search(r'whisker s0" x1="([\d.]+)" x2="([\d.]+)"', svg).groups())  # type: ignore[union-attr]
    assert layout.left <= high < start < low < end <= layout.width
    assert "Nothing was scored" in dots.dot_rows([], layout, "t")
    assert 'cx="' in dots.dot_rows([dots.Row("a", [dots.Dot("x", "s0", 0, 0, 0)])], layout, "t")


def test_square_holds_its_diagonal() -> None:
    """Equal numbers lie on it."""
    svg = dots.square([[(0.1, 0.1)], [(0.2, 0.4)]], "t", "claimed", "happened")
    (x0, y0, x1, y1) = map(float, re.search(r'diagonal" x1="(.+?)" y1="(.+?)" x2="(.+?)" y2="(.+?)"', svg).groups())  # type: ignore[union-attr]
    x, y = map(float, re.search(r'dot s0" cx="(.+?)" cy="(.+?)"', svg).groups())  # type: ignore[union-attr]
    assert (x - x0) / (x1 - x0) == pytest.approx((y - y0) / (y1 - y0), abs=1e-2)
    assert "Nothing was scored" in dots.square([[], []], "t", "a", "b")


def test_axis_numbers() -> None:
    """Events on the axis are short."""
    assert [short(n) for n in (0, 500, 25_000, 1_500_000)] == ["0", "500", "25k", "1.5M"]


def test_versions_name_what_matters() -> None:
    """The versions that bit equality depends on are there."""
    assert {"numpy", "numba", "python", "cpu"} <= versions().keys()


def test_names_for_people() -> None:
    """Half-lives, peers and our own list on request are told in words; the yardstick is the best half-life."""
    told = [label(model) for model in ("popularity_500", "popularity_1e+06", "raisgd", "sequential_rules")]
    assert told == ["popularity, half-life 500", "popularity, half-life 1,000,000", "RAISGD", "sequential rules"]
    assert yardstick(["head", "popularity_all_time", "popularity_3000", "popularity_100"]) == "popularity_3000"
    assert (yardstick(["head", "popularity_all_time"]), yardstick(["head"])) == ("popularity_all_time", "")


def test_a_list_on_request_is_no_rival() -> None:
    """It is ours: the page does not hold it against us, but shows it."""
    run = random_run()
    run.ranks["headwater_request"] = np.ones(run.n, np.int32)
    page = render_report(report_of(run=run))
    assert "does not beat its best expert" not in page
    assert "headwater on request" in page
