"""What `headwater run` refuses before it starts Flink, which takes long to say so."""

from pathlib import Path

import pytest

from jobs.cli import main

TABLES = ("events", "lists", "dead_letters", "metrics")


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "no vector file "), ("item,title\n", "not a safetensors file")]
)
def test_vectors_that_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, expected: str
) -> None:
    """A file of vectors is read at once, even before the broker is asked, and nothing is made."""
    tables = "".join(f'[{name}]\ntopic = "{name}"\n' for name in TABLES)
    where = '[vectors]\npath = "v.safetensors"\n[kafka]\nbootstrap = "127.0.0.1:9"\n[flink]\ncheckpoints = "state"\n'
    (tmp_path / "job.toml").write_text(tables + where)
    if content is not None:
        (tmp_path / "v.safetensors").write_text(content)

    assert main(["run", "--config", str(tmp_path / "job.toml")]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
