"""Laws of the curves: joining points loses nothing, memory is bounded, a window is a window."""

import json
from pathlib import Path

from tests.view.lines import metrics_line
from view.curves import POINTS_MAX, SHOWN_MAX, Curves
from view.lines import read_metrics
from view.store import Store


def test_long_runs_stay_small_and_whole(tmp_path: Path) -> None:
    """After many joins the points are few, and the whole run's figures are those of plain sums."""
    store = Store(tmp_path / "store", "test")
    curves = Curves(store)
    ranks = [(7 * n) % 40 for n in range(30_000)]
    for first in range(0, len(ranks), 3):
        line = metrics_line(first + 1, "u:a u:b u:c", " ".join(map(str, ranks[first : first + 3])))
        curves.add(read_metrics(line), 0.5)
        store.write(curves.drain(), {})
    scored = [rank for rank in ranks if rank]
    shown = curves.shown()
    assert shown["models"]["headwater"]["whole"]["hr@10"] == round(sum(rank <= 10 for rank in scored) / len(scored), 5)
    assert shown["events"] == 30_000
    assert len(curves._points) <= POINTS_MAX
    assert len(shown["at"]) <= SHOWN_MAX
    assert len(json.dumps(shown)) < 20_000
    assert Curves(store).shown() == shown
    store.close()


def test_a_point_looks_back_on_its_window(tmp_path: Path) -> None:
    """When every event hits after a thousand that did not, the newest point says 1, the whole run a half."""
    store = Store(tmp_path / "store", "test")
    curves = Curves(store)
    for n in range(2000):
        curves.add(read_metrics(metrics_line(n + 1, "u:a", "50" if n < 1000 else "1")), 0.0)
    shown = curves.shown()
    hr = shown["models"]["headwater"]["hr@10"]
    assert (shown["window"], hr[-1], shown["models"]["headwater"]["whole"]["hr@10"]) == (500, 1.0, 0.5)
    assert hr[len(hr) // 4] == 0.0
    assert sorted(hr) == hr
    store.close()


def test_coverage_belongs_to_its_tick(tmp_path: Path) -> None:
    """Lists that come after all metrics still tell the coverage of their own time."""
    store = Store(tmp_path / "store", "test")
    curves = Curves(store)
    for n in range(1, 101):
        curves.add(read_metrics(metrics_line(n, "u:a")), 0.0)
    for n in range(1, 101):
        curves.cover(n, n / 100)
    assert curves.shown()["covered"] == [point.tick / 100 for point in curves._points]
    store.close()
