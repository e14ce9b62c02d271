"""The whole product with one command: curves move, a list changes after a click, and nothing is left behind."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from jobs.broker import free_port
from jobs.cli import main
from tests.view.chromium import chromium, opened, picture

pytestmark = [pytest.mark.flink, pytest.mark.kafka, pytest.mark.model, pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
START_S = 240.0  # 60 s on an idle machine once kernels are compiled and films encoded


@contextlib.contextmanager
def demo(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run `headwater demo` as a terminal would, in a process group of its own; yield it and the page's port."""
    port = free_port()
    line = [sys.executable, "-m", "jobs.cli", "demo", "--dir", str(folder), "--port", str(port), "--items", "500"]
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield process, port
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(120)


def descendants(pid: int) -> set[int]:
    """Return the processes below a process."""
    children: set[int] = set()
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children |= {int(child) for child in (task / "children").read_text().split()}
    return children.union(*map(descendants, children))


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def accepted(port: int) -> int:
    """Return how many events were learned, as Prometheus would read it; -1 where there is no page yet."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return int(float(text.split("\nheadwater_events_accepted_total ")[1].split("\n")[0]))
    return -1


def test_the_loop_is_seen_closing_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    """On real Flink, Kafka, MiniLM and Chromium: curves move, a click changes the clicker's list, SIGINT ends all."""
    folder = tmp_path / "demo"
    with demo(folder) as (process, port):
        deadline = time.monotonic() + START_S
        while accepted(port) < 50:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.5)
        with chromium() as browser, opened(browser, f"http://127.0.0.1:{port}/?user=a+person") as page:
            expect(page.locator("#status")).to_have_text("live", timeout=20_000)
            expect(page.locator("#caption")).to_contain_text("a person has no list yet")
            expect(page.locator("#now .row")).to_have_count(20)
            path = page.locator("#chart-hr path.curve.c0")
            curve = path.get_attribute("d")
            lists = []
            for clicks in (1, 2):
                page.locator("#now .click").nth(2).click()
                expect(page.locator("#events .event")).to_have_count(clicks, timeout=30_000)
                expect(page.locator("#caption")).to_contain_text("list of", timeout=30_000)
                page.wait_for_timeout(1500)  # events and lists are two topics
                lists.append(page.locator("#now .row").evaluate_all("rows => rows.map((row) => row.dataset.key)"))
            assert lists[0] != lists[1]
            assert page.locator("#now .move.new, #now .move.up, #now .move.down").count() > 0
            assert page.locator("#now .share rect").count() > 20  # why it is so
            page.wait_for_function(
                "d => document.querySelector('#chart-hr path.curve.c0').getAttribute('d') !== d", arg=curve
            )
            expect(page.locator("#chart-fresh path.curve")).to_have_count(3, timeout=30_000)
            expect(page.locator("#tiles")).to_contain_text("Event to list")
            assert "–" not in page.locator("#tiles dd").nth(1).inner_text()
            picture(page, "demo-live")
        family = descendants(process.pid)
        assert len(family) >= 6  # broker, view, encoder, job, its JVM, visitors
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(120) == 0
        told = process.communicate()[1]
    assert told.endswith("stopping\nstopped; nothing is left running\n")
    assert [pid for pid in family if is_alive(pid)] == []
    named = [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if _holds(entry, str(folder))]
    assert named == []
    visits = (folder / "logs" / "simulate.log").read_text().splitlines()[-1]
    assert "ended in a click from the list" in visits
    about = json.loads((folder / "state" / "job.json").read_text())
    assert about["name"] == "demo-live"


def test_another_folder_is_left_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that is not the demo's own is neither removed nor written beside."""
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", "--dir", str(tmp_path), "--port", str(free_port())]) == 2
    assert "holds thesis.txt, which is not ours; name an empty folder with --dir" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def _holds(entry: Path, text: str) -> bool:
    try:
        return text in entry.read_text(errors="replace")
    except OSError:
        return False
