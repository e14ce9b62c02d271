"""Laws of the folder's feed: the figures are the report's, a running replay is followed, another run starts anew."""

import shutil
import time
from pathlib import Path

import pytest

from state.errors import HeadwaterError
from tests.view.conftest import Replayed
from tests.view.lines import open_view
from view.folder import FolderFeed
from view.view import View


def read_all(view: View, feed: FolderFeed) -> None:
    """Fold until nothing new comes."""
    while True:
        batch = feed.read(0)
        assert batch is not None
        view.fold(batch, int(time.time() * 1000))
        if not batch.records:
            return


def test_the_figures_are_the_reports(replayed: Replayed, tmp_path: Path) -> None:
    """HR@10 and NDCG@10 of every model, events and lists equal those of report.json."""
    view, store = open_view(tmp_path / "store")
    feed = FolderFeed(replayed.folder)
    assert feed.open({})
    read_all(view, feed)
    shown = view.shown(0)
    metrics = replayed.report["metrics"]
    assert isinstance(metrics, dict)
    assert shown["quality"]["models"].keys() == metrics.keys()
    for model, figures in shown["quality"]["models"].items():
        for measure in ("hr@10", "ndcg@10"):
            assert figures["whole"][measure] == pytest.approx(metrics[model]["all"][measure], abs=2e-5), (
                model,
                measure,
            )
    assert (shown["accepted"], shown["lists"]) == (replayed.report["accepted"], replayed.report["lists"])
    assert shown["finished"]
    assert feed.caught_up
    assert shown["quality"]["covered"][-1] == shown["coverage"] > 0
    store.close()


def test_a_running_replay_is_followed(replayed: Replayed, tmp_path: Path) -> None:
    """Parts that grow, half lines, and metrics that move from parts to one file: each line counts once."""
    folder = tmp_path / "out"
    lists, parts = folder / "recommendations", folder / ".work" / "metrics.jsonl"
    for made in (lists, parts, folder / "dead_letters"):
        made.mkdir(parents=True)
    whole = (replayed.folder / "recommendations" / "part-0.jsonl").read_bytes()
    metrics = (replayed.folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    view, store = open_view(tmp_path / "store")
    feed = FolderFeed(folder)
    assert feed.open({})
    read_all(view, feed)
    third = len(whole) // 3
    (lists / "part-x-0.jsonl").write_bytes(whole[:third])  # ends inside a line
    (lists / ".part-x-1.jsonl.inprogress").write_bytes(b"{broken")
    (parts / "part-a-0.jsonl").write_bytes(b"".join(metrics[:20]))
    read_all(view, feed)
    assert view.totals.lists == whole[:third].count(b"\n")
    before = view.totals.accepted
    assert before > 0
    (lists / "part-x-0.jsonl").write_bytes(whole)
    (parts / "part-b-1.jsonl").write_bytes(b"".join(metrics[20:]))
    read_all(view, feed)
    shutil.rmtree(folder / ".work")
    (folder / "metrics.jsonl").write_bytes(b"".join(metrics))
    read_all(view, feed)
    assert (view.totals.accepted, view.totals.lists) == (replayed.report["accepted"], replayed.report["lists"])
    store.close()


def test_another_run_is_read_anew(copied: Path, tmp_path: Path) -> None:
    """When the lists that were read are gone, the feed says so, at its start too; then all is read again."""
    view, store = open_view(tmp_path / "store")
    feed = FolderFeed(copied)
    feed.open({})
    read_all(view, feed)
    (copied / "recommendations" / "part-0.jsonl").write_bytes(b"")
    assert feed.read(0) is None
    assert not FolderFeed(copied).open(view.positions)
    view.forget()
    assert feed.open({})
    assert (view.totals.accepted, view.positions, view.people.find("", 5)) == (0, {}, [])
    store.close()


def test_no_replay(tmp_path: Path) -> None:
    """A folder of something else is told."""
    with pytest.raises(HeadwaterError, match=r"holds no recommendations/; expected the folder of a replay"):
        FolderFeed(tmp_path)
