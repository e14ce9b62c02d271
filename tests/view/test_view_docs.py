"""Laws of docs/view.md: every curl line in it works, and it names every route and metric there is."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.view.conftest import Replayed
from tests.view.running import ask, command

TEXT = (Path(__file__).parents[2] / "docs" / "view.md").read_text(encoding="utf-8")
CURLS = re.findall(r"^curl .*127\.0\.0\.1:8321.*?(?=  #|$)", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def port(replayed: Replayed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve the real replay."""
    store = tmp_path_factory.mktemp("docs") / "store"
    with command("--replay", str(replayed.folder), "--store", str(store)) as (_, running):
        yield running


@pytest.mark.parametrize("line", CURLS)
def test_every_curl_works(port: int, line: str) -> None:
    """As it stands, but for the port; each has an answer that is not empty."""
    assert shutil.which("curl"), "curl is not installed; expected it, as people use it"
    done = subprocess.run(
        line.replace(":8321", f":{port}") + " --fail-with-body", shell=True, capture_output=True, text=True, check=False
    )
    assert done.returncode == (28 if "--max-time" in line else 0), done.stdout + done.stderr  # 28: the stream goes on
    assert len(done.stdout) > 10


def test_there_are_examples() -> None:
    """Of each documented route."""
    assert len(CURLS) >= 10


def test_routes_and_metrics_are_documented(port: int) -> None:
    """Whatever the server has is in the text."""
    for path in ask(port, "/openapi.json").json["paths"]:
        assert path.partition("{")[0].rstrip("/") in TEXT or path == "/session", path
    names = set(re.findall(r"^# TYPE (\S+)", ask(port, "/metrics").body.decode(), re.MULTILINE))
    assert {name.removesuffix("_created") for name in names} - set(re.findall(r"headwater_\w+", TEXT)) == set()
