"""Laws of the settings of learning: each is in its range, and all of a range can be learned with."""

import dataclasses
import re
from pathlib import Path

import pytest

from jobs.config import load_config
from jobs.learning import RANGES, read_learning
from jobs.values import At
from online.settings import PRESETS, Learning
from state.errors import HeadwaterError
from tests.jobs.replay_logs import Log, real_log, replay

NAMES = [field.name for field in dataclasses.fields(Learning) if field.name != "preset"]
ENDS = ("low", "high")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return real_log("movietweetings", 300, tmp_path_factory.mktemp("log"))


def configured(folder: Path, name: str, value: object) -> Path:
    """Write a job.toml with one setting of learning."""
    file = folder / "job.toml"
    paths = '[events]\npath = "log.csv"\n[vectors]\npath = "items.safetensors"\n'
    file.write_text(f"{paths}[learning]\n{name} = {value}\n", encoding="utf-8")
    return file


def test_every_setting_has_a_range() -> None:
    """A new setting needs one; only the next version's `text_neighbours` may be there before its setting is."""
    assert RANGES.keys() - {"text_neighbours"} <= {*NAMES, "preset"} <= RANGES.keys()
    defaults = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(Learning()).items()}
    assert read_learning(At("learning", "job.toml", Path()), defaults) == Learning()


def test_a_preset_gives_what_is_not_named(tmp_path: Path) -> None:
    """A preset's settings hold unless the file names them; a word that is none is told with the nearest."""
    assert load_config(configured(tmp_path, "preset", '"lean"')).learning == PRESETS["lean"] != PRESETS["full"]
    named = load_config(configured(tmp_path, "preset", '"lean"\nhalf_lives = [7.0]')).learning
    assert named == dataclasses.replace(PRESETS["lean"], half_lives=(7.0,))
    with pytest.raises(
        HeadwaterError, match=r"learning.preset is 'leen'; expected one of full, lean; did you mean 'le"
    ):
        load_config(configured(tmp_path, "preset", '"leen"'))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_runs(tmp_path: Path, log: Log, preset: str) -> None:
    """Each gives a whole run."""
    job = configured(tmp_path, "preset", f'"{preset}"')
    flags = ["--events", str(log.events), "--vectors", str(log.vectors), "--engine", "python"]
    assert replay(["--config", str(job)], tmp_path / "out", *flags)["accepted"] == 300


@pytest.mark.parametrize("value", ["-1", "0", "1.5", "true", "'1'", "[]", "[[]]", "1e300", "9" * 20, "9" * 400])
@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_in_its_range(tmp_path: Path, name: str, value: str) -> None:
    """Whatever stands there is either a setting of the right type or one line that names key, value and range."""
    try:
        learning = load_config(configured(tmp_path, name, value)).learning
    except HeadwaterError as error:
        kinds = r"a whole number from|a number from|a list, each a number from"
        told = rf"learning.{name} is .+; expected ({kinds}) [0-9.]+ to .+; change it in /.*job.toml"
        assert re.fullmatch(told, str(error))
    else:
        found = getattr(learning, name)
        assert type(found) is type(getattr(Learning(), name))
        assert found in (0, 1.5)


@pytest.mark.parametrize("value", ["[0]", "[-5.0]", "[100.0, 100]", "[1000000, 1000000.1]", "[inf]", "[10, '2']", "3"])
def test_half_lives_are_apart(tmp_path: Path, value: str) -> None:
    """Each names an expert, so there is one at least and no two are alike."""
    with pytest.raises(HeadwaterError, match=r"learning.half_lives is .*a list, .* 1 to 16 of them, all different"):
        load_config(configured(tmp_path, "half_lives", value))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", NAMES)
def test_both_ends_of_a_range_can_be_learned_with(tmp_path: Path, log: Log, name: str, end: str) -> None:
    """What the configuration lets through runs to its end, however badly it learns."""
    value = ends_of(name)[ENDS.index(end)]
    job = configured(tmp_path, name, [float(value)] if name == "half_lives" else value)
    flags = ["--events", str(log.events), "--vectors", str(log.vectors), "--engine", "python"]

    assert replay(["--config", str(job)], tmp_path / "out", *flags)["accepted"] == 300


def ends_of(name: str) -> tuple[str, str]:
    """Return the range that the error of a setting tells."""
    with pytest.raises(HeadwaterError) as error:
        RANGES[name](At(f"learning.{name}", "job.toml", Path()), -1)
    told = re.search(r"from (\S+) to ([^\s,;]+)", str(error.value))
    assert told is not None
    return told[1], told[2]
