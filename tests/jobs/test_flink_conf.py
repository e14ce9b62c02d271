"""Laws of flink-conf: Flink 2.3 knows each key and takes each value, and beside each stands its unit and its reason."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.flink_conf import BASE, FLINK_CONF, environments, read_configuration, write_configuration
from state.errors import HeadwaterError

FILES = sorted(FLINK_CONF.glob("*.yaml"))
KEY = re.compile(r"^([a-z][\w.-]*): ", re.MULTILINE)
# Of a reporter of any name, so no option has the whole key.
REPORTER = re.compile(r"metrics\.reporter\.\w+\.(factory\.class|port|filterLabelValueCharacters)")
UNITS = {
    "time": r"\d+ (ms|s|min|h)",
    "memory": r"\d+m",
    "yes or no": r"true|false",
    "slots": r"\d+",
    "checkpoints": r"\d+",
    "port": r"\d+",
    "factor": r"\d+\.\d+",
    "share": r"[01]\.\d+",
    "level": r"[A-Z_]+",
    "path": r"/\S+",
    "address": r"\S+",
    "name": r"\S+",
    "flags of java": r"-.*",
    "patterns, by ;": r"\S+",
}


def entries(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the comment above, the key and the value of each entry."""
    comment: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment.append(line)
            continue
        if found := KEY.match(line):
            yield "\n".join(comment), found[1], line[found.end() :]
        comment = []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_key_has_a_unit_and_a_reason(file: Path) -> None:
    """`# [unit] reason` above it, a unit of the list, a value of that unit, and a sentence."""
    found = list(entries(file))
    assert len(found) == len(KEY.findall(file.read_text(encoding="utf-8"))) > 0
    for comment, key, value in found:
        told = re.match(r"# \[([^]]+)\] (.+)", comment.replace("\n# ", " "))
        assert told, f"{file.name}: {key} has no unit and reason"
        assert told[1] in UNITS, f"{file.name}: {key} has the unit {told[1]}"
        assert re.fullmatch(UNITS[told[1]], value), f"{file.name}: {key} is {value}, not in {told[1]}"
        assert len(told[2]) > 20 and told[2].endswith("."), f"{file.name}: {key} has no reason"


def test_an_environment_wins() -> None:
    """What it says goes before the base; what it does not say is as in the base."""
    base = {key: value for _, key, value in entries(FLINK_CONF / BASE)}
    cluster = read_configuration("cluster")

    assert (base["heartbeat.interval"], cluster["heartbeat.interval"]) == ("500 ms", "2 s")
    assert cluster["taskmanager.numberOfTaskSlots"] == base["taskmanager.numberOfTaskSlots"]
    assert environments() == ["cluster", "local"]


def test_an_unknown_environment_names_the_known() -> None:
    """A user's mistake."""
    with pytest.raises(HeadwaterError, match=r"no environment staging in .*; expected one of cluster, local; add .*"):
        read_configuration("staging")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """With the line."""
    (tmp_path / BASE).write_text("a: 'b\n")
    (tmp_path / "mine.yaml").write_text("")
    with pytest.raises(HeadwaterError, match=r"config.yaml is not YAML: .*line"):
        read_configuration("mine", tmp_path)


def test_what_is_written_is_what_was_read(tmp_path: Path) -> None:
    """Values with spaces, colons and quotes survive, and nested tables are dotted keys."""
    given = {"env.java.opts.client": "-Da='b: c' -Dd", "rest.port": "1"}
    write_configuration(tmp_path / "conf", "local", given)
    (tmp_path / "conf" / "again.yaml").write_text("rest:\n  port: 2\n")

    again = read_configuration("again", tmp_path / "conf")

    assert again == {**read_configuration("local"), **given, "rest.port": "2"}


@pytest.mark.flink
def test_flink_knows_each_key_and_takes_each_value(tmp_path: Path) -> None:
    """Flink ignores without a word what it does not know: every key is one of an option's, and its value is parsed."""
    from pyflink.java_gateway import get_gateway

    from jobs.flink_env import as_configuration, start_jvm

    start_jvm(tmp_path, live=False)
    options = dict(_options(get_gateway().jvm))
    assert len(options) > 500
    for environment in environments():
        settings = read_configuration(environment)
        configuration = as_configuration(settings)._j_configuration
        for key in settings:
            if not REPORTER.fullmatch(key):
                assert key in options, f"{environment}: Flink 2.3 has no option {key}"
                configuration.get(options[key])


def _options(jvm: Any) -> Iterator[tuple[str, Any]]:
    """Yield key -> option of all that Flink's jars declare."""
    from jobs.flink_home import flink_home

    classes = []
    for jar in [*(flink_home() / "lib").glob("flink-dist-*.jar"), *(flink_home() / "opt").glob("flink-python-*.jar")]:
        with zipfile.ZipFile(jar) as file:
            classes += [
                name[:-6].replace("/", ".") for name in file.namelist() if re.search(r"\w+Options\.class$", name)
            ]
    option = jvm.java.lang.Class.forName("org.apache.flink.configuration.ConfigOption")
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    for name in classes:
        if name.startswith("org.apache.flink.") and "shaded" not in name:
            for field in jvm.java.lang.Class.forName(name, False, loader).getDeclaredFields():
                if field.getType().equals(option) and jvm.java.lang.reflect.Modifier.isPublic(field.getModifiers()):
                    found = field.get(None)
                    yield found.key(), found
