"""The Flink of the package apache-flink: its folder, and its jars with the one that its lib/ lacks."""

from pathlib import Path

from state.errors import HeadwaterError


def flink_home() -> Path:
    """Return the folder of the package apache-flink."""
    import importlib.util

    found = importlib.util.find_spec("pyflink")
    if found is None or found.origin is None:
        raise HeadwaterError("apache-flink is not installed in this Python; run make setup")
    return Path(found.origin).parent


def link_jars(lib: Path) -> None:
    """Fill `lib` with links to Flink's jars, and to flink-python's, which its own lib/ lacks."""
    lib.mkdir(parents=True, exist_ok=True)
    for old in lib.glob("*.jar"):
        old.unlink()
    for jar in [*(flink_home() / "lib").glob("*.jar"), *(flink_home() / "opt").glob("flink-python-*.jar")]:
        (lib / jar.name).symlink_to(jar)
