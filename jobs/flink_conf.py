"""Flink's configuration: `flink-conf/config.yaml`, over it the file of an environment, over that what a start knows."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from state.errors import HeadwaterError

FLINK_CONF = Path(__file__).parents[1] / "flink-conf"
BASE, LOGS = "config.yaml", "log4j-console.properties"


def environments(folder: Path = FLINK_CONF) -> list[str]:
    """Return the environments that a folder of configuration has a file for."""
    return sorted(file.stem for file in folder.glob("*.yaml") if file.name != BASE)


def read_configuration(environment: str, folder: Path = FLINK_CONF) -> dict[str, str]:
    """Return key -> value of the base with an environment laid over it.

    Raises:
        HeadwaterError: there is no such environment, or a file is not YAML.
    """
    if environment not in environments(folder):
        raise HeadwaterError(
            f"no environment {environment} in {folder}; expected one of {', '.join(environments(folder)) or 'none'}; "
            f"add {folder / environment}.yaml, or name another folder with --conf"
        )
    return {**_read(folder / BASE), **_read(folder / f"{environment}.yaml")}


def write_configuration(conf: Path, environment: str, given: Mapping[str, str], folder: Path = FLINK_CONF) -> None:
    """Make `conf` a folder that Flink's scripts can start from.

    Args:
        conf: made when it is not there; its files are replaced.
        environment: whose file is laid over the base.
        given: what only the start knows, such as ports.
        folder: with the base and the environments.
    """
    settings = {**read_configuration(environment, folder), **given}
    conf.mkdir(parents=True, exist_ok=True)
    lines = (f"{key}: {_quoted(value)}\n" for key, value in settings.items())
    (conf / BASE).write_text("".join(lines), encoding="utf-8")
    (conf / LOGS).write_bytes((folder / LOGS).read_bytes())


def _read(file: Path) -> dict[str, str]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        loaded = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise HeadwaterError(
            f"cannot read {file}: {error.strerror}; expected Flink's configuration; name its folder with --conf"
        ) from None
    except YAMLError as error:
        raise HeadwaterError(f"{file} is not YAML: {' '.join(str(error).split())}; mend that line") from None
    return dict(_flat("", loaded or {}))


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield dotted keys: Flink takes nested tables and dotted keys alike."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(value: str) -> str:
    """A scalar that YAML cannot take for anything but a text."""
    return "'" + value.replace("'", "''") + "'"
