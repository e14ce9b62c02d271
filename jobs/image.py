"""`python -m jobs.image FOLDER`: makes what a container image needs of Flink, out of the package apache-flink.

The folder is Flink's home as its Kubernetes operator expects it: bin, lib with flink-python and the Kafka connector in
it, plugins, conf; and our compiled kernels, so that a new pod does not compile for half a minute.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jobs.children import environment, headwater
from jobs.flink_conf import environments, write_configuration
from jobs.flink_home import flink_home, link_jars
from jobs.jars import connector_jar
from state.errors import HeadwaterError

KERNELS = "kernels"
_LINKED = ("bin", "plugins")


def make(folder: Path, environment: str) -> None:
    """Fill `folder`.

    Args:
        folder: made where it is not there.
        environment: of flink-conf; an operator puts its own configuration over it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _LINKED:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(flink_home() / name)
    link_jars(folder / "lib")
    (folder / "opt").mkdir(
        exist_ok=True
    )  # a real folder: application mode looks for flink-python in it and follows no link
    [python_jar] = (folder / "lib").glob("flink-python-*.jar")
    shutil.copy(python_jar, folder / "opt")
    connector = connector_jar()
    (folder / "lib" / connector.name).write_bytes(connector.read_bytes())  # the cache may not be in the image
    write_configuration(folder / "conf", environment, {})
    compile_kernels(folder / KERNELS)


def compile_kernels(folder: Path) -> None:
    """Fill the cache of compiled kernels by a replay of a small made-up log."""
    from models.vectors import ItemVectors, write_vectors

    with tempfile.TemporaryDirectory() as work:
        log = Path(work, "log")
        _run(folder, "simulate", "--out", str(log), "--events", "2000", "--items", "100")
        items = tuple(f"i{number}" for number in range(100))
        vectors = np.random.default_rng(1).normal(size=(len(items), 32)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        write_vectors(log / "vectors", ItemVectors("random", items, vectors, np.zeros(len(items), np.int64)))
        given = ["--config", str(log / "job.toml"), "--vectors", str(log / "vectors"), "--out", str(Path(work, "out"))]
        _run(folder, "replay", *given, "--engine", "python", "--no-peers")


def _run(kernels: Path, *arguments: str) -> None:
    given = {**environment(), "NUMBA_CACHE_DIR": str(kernels)}
    done = subprocess.run(headwater(*arguments), env=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HeadwaterError(f"headwater {arguments[0]} failed while making the image: {done.stderr.strip()}")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the folder."""
    parser = argparse.ArgumentParser(prog="python -m jobs.image", description="Make Flink's home for an image.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--environment", choices=environments(), default="cluster", help="of flink-conf (%(default)s)")
    args = parser.parse_args(argv)
    os.umask(0o022)  # another user runs it
    try:
        make(args.folder.absolute(), args.environment)
    except (HeadwaterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
