"""Laws of the source itself: imports point one way, nothing executes stored bytes, the core reads no clock."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from online import compiled
from online.event import REASONS

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "state": set[str](),
    "models": {"state"},
    "online": {"state"},
    "jobs": {"state", "models", "online", "pyflink"},
}
OURS_AND_ENGINE = {*MAY_IMPORT, "tests", "pyflink"}
FILES = {folder: sorted((ROOT / folder).rglob("*.py")) for folder in MAY_IMPORT}
every_folder = pytest.mark.parametrize("folder", MAY_IMPORT)
CLOCKS = {"time", "datetime", "random", "secrets", "uuid", "os", "socket", "threading", "asyncio", "subprocess"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports, at its top or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test sees them"
            yield node.module or ""


def called(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names of what a file calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


@every_folder
def test_imports_point_one_way(folder: str) -> None:
    """Only jobs/ sees the engine; nothing below it looks up, and nothing imports its tests."""
    assert FILES[folder]
    for path in FILES[folder]:
        foreign = {name.split(".")[0] for name in imported(tree_of(path))} & OURS_AND_ENGINE - {folder}
        assert foreign <= MAY_IMPORT[folder], f"{where(path)} imports {foreign - MAY_IMPORT[folder]}"


@every_folder
def test_nothing_executes_stored_bytes(folder: str) -> None:
    """No pickle, marshal, eval or exec, no torch.load, no code from a model's folder: bytes at rest are data."""
    for path in FILES[folder]:
        tree = tree_of(path)
        modules = {name.split(".")[0] for name in imported(tree)}
        assert not modules & {"pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}, where(path)
        names = set(called(tree))
        assert not names & {"eval", "exec", "compile", "__import__", "torch.load", "os.system"}, where(path)
        assert not any(name.endswith(("np.load", "numpy.load")) for name in names), where(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle", "shell"):
                assert isinstance(node.value, ast.Constant) and node.value.value is False, where(path)


@pytest.mark.parametrize("folder", ["state", "online"])
def test_the_core_reads_no_clock(folder: str) -> None:
    """Time, seed, vectors and configuration come in as arguments: a list is a function of its inputs alone."""
    for path in FILES[folder]:
        tree = tree_of(path)
        foreign = {name.split(".")[0] for name in imported(tree)} & CLOCKS
        assert not foreign, f"{where(path)} imports {foreign}"
        for name in called(tree):
            assert not name.startswith("np.random.") or name.startswith("np.random.default_rng"), (
                f"{where(path)}: {name}"
            )
            assert name != "hash", f"{where(path)}: hash() differs from process to process"
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.random.default_rng":
                assert node.args, f"{where(path)}: a generator without a seed"


def test_no_timer_by_the_wall_clock() -> None:
    """Processing-time timers would make a replay differ from the live run."""
    for path in FILES["jobs"]:
        assert "processing_time_timer" not in path.read_text(encoding="utf-8"), where(path)


def test_kernels_round_alike_however_compiled() -> None:
    """`fastmath` names flags that change no bit, and there are no threads."""
    for path in FILES["online"]:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.keyword) and node.arg in ("fastmath", "parallel"):
                assert (path.name, ast.unparse(node.value)) == ("compiled.py", "_EXACT"), (
                    f"{where(path)}: {ast.unparse(node)}"
                )
    assert {"nnan", "ninf", "nsz"} == compiled._EXACT


@every_folder
def test_every_module_says_its_idea(folder: str) -> None:
    """A module begins with one line that ends with a full stop; public functions and classes have a docstring."""
    for path in FILES[folder]:
        tree = tree_of(path)
        first = (ast.get_docstring(tree) or "").split("\n")[0]
        assert first.endswith("."), f"{where(path)} begins with {first!r}"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{where(path)}: {node.name} has no docstring"


def test_every_reason_code_is_used() -> None:
    """A documented reason is one that some code gives; tests/online/test_event.py holds the other direction."""
    given = {
        node.value
        for folder in ("online", "jobs")
        for path in FILES[folder]
        if path.name != "event.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant)
    }
    decoder = next(
        node
        for node in tree_of(ROOT / "online" / "event.py").body
        if isinstance(node, ast.FunctionDef) and node.name == "decode_event"
    )
    given |= {node.value for node in ast.walk(decoder) if isinstance(node, ast.Constant)}
    assert REASONS.keys() <= given, f"nothing gives {REASONS.keys() - given}"


def test_every_golden_file_is_held() -> None:
    """Golden bytes are only of use if a test reads them: every file's name stands in one."""
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
    files = sorted((ROOT / "tests" / "golden").glob("*.bin"))
    assert {path.stem for path in files} >= {
        "user-1",
        "share-1",
        "share-2",
        "table-1",
        "standing-1",
        "change-1",
        "vector-1",
    }
    for path in files:
        assert f'"{path.stem}"' in tests, f"no test reads {path.name}"
