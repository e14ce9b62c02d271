"""Item vectors as bytes: one safetensors file for a replay, one framed record per item on the vectors topic."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.codec import Kind, frame, unframe
from state.errors import CorruptBytes, HeadwaterError

SCHEMA_VERSION = 1  # of both; bump together with a migration
_FORMAT = "headwater-vectors"
_HEADER_MAX_BYTES = 1 << 16  # of a file of ours: three tensors and a few texts


@dataclass(frozen=True, slots=True, eq=False)
class ItemVectors:
    """The vectors of a catalogue, all of one model."""

    model_id: str
    items: tuple[str, ...]  # distinct
    vectors: NDArray[np.float32]  # shape (n, d), norm 1
    available_at_ms: NDArray[np.int64]  # shape (n,); Unix ms, 0 = from the start


class VectorRecord(NamedTuple):
    """One item's vector on the vectors topic; the record's key is the item, a null value means retired."""

    model_id: str
    text_sha256: str  # hex, of the UTF-8 text; of the empty text: the vector comes from the item's id
    available_at_ms: int
    vector: NDArray[np.float32]  # shape (d,)


def write_vectors(path: Path, item_vectors: ItemVectors) -> None:
    """Write the file; it appears whole or not at all. Equal vectors give equal bytes.

    The layout is safetensors, written here because the library orders the metadata at random.

    Raises:
        HeadwaterError: the file cannot be written, or is there already and no vector file.
    """
    _require_whole(item_vectors)
    require_replaceable(path)
    n, dim = item_vectors.vectors.shape
    names = np.frombuffer(msgspec.json.encode(item_vectors.items), np.uint8)
    tensors = [  # widest first, so that each starts on its own alignment
        ("available_at_ms", "I64", item_vectors.available_at_ms.astype("<i8")),
        ("vectors", "F32", np.ascontiguousarray(item_vectors.vectors, "<f4")),
        ("items", "U8", names),
    ]
    metadata = {"format": _FORMAT, "version": str(SCHEMA_VERSION), "model_id": item_vectors.model_id, "dim": str(dim)}
    header: dict[str, object] = {"__metadata__": {**metadata, "sha256": _digest(metadata, tensors)}}
    start = 0
    for name, dtype, array in tensors:
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [start, start + array.nbytes]}
        start += array.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(len(head).to_bytes(8, "little") + head)
            for _, _, array in tensors:
                file.write(_raw(array))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise HeadwaterError(
            f"cannot write {n} vectors to {path}: {error.strerror}; expected a folder with room; choose another --out"
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink()


def require_replaceable(path: Path) -> None:
    """Hold that `path` is free, empty or a vector file: a slip of the hand must not cost someone their log.

    Raises:
        HeadwaterError: something else is there.
    """
    if not os.path.lexists(path) or is_vector_file(path) or (path.is_file() and not path.stat().st_size):
        return
    raise HeadwaterError(
        f"{path} is there already and no vector file; expected a new name, or a vector file to replace; "
        "choose another --out, or remove that file yourself"
    )


def is_vector_file(path: Path) -> bool:
    """Say whether a file is one of ours by its first bytes, whole or damaged, of this version or another."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= _HEADER_MAX_BYTES else {}
        return bool(header["__metadata__"]["format"] == _FORMAT)
    except (OSError, ValueError, KeyError, TypeError):  # ValueError: no JSON, or no UTF-8
        return False


def read_vectors(path: Path) -> ItemVectors:
    """Read a vector file and check it.

    Raises:
        CorruptBytes: the file is no vector file, of another version, damaged, or has a vector that is not finite.
        HeadwaterError: the file cannot be opened.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise HeadwaterError(f"no vector file {path}; expected one made by `headwater encode --out`; correct the path")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except OSError as error:
        raise HeadwaterError(f"cannot read {path}: {error}; check the file and its rights") from None
    except SafetensorError as error:
        raise _corrupt(path, f"not a safetensors file: {error}") from None
    if metadata.get("format") != _FORMAT or metadata.get("version") != str(SCHEMA_VERSION):
        raise _corrupt(
            path, f"format {metadata.get('format')!r}, version {metadata.get('version')!r}; "
            f"expected {_FORMAT!r}, version {SCHEMA_VERSION}"
        )  # fmt: skip
    said = metadata.pop("sha256", "")
    names = [("available_at_ms", "I64"), ("vectors", "F32"), ("items", "U8")]
    if tensors.keys() != {name for name, _ in names}:
        raise _corrupt(path, f"tensors {sorted(tensors)}")
    if _digest(metadata, [(name, dtype, tensors[name]) for name, dtype in names]) != said:
        raise _corrupt(path, "its SHA-256 differs from the one written into it")
    found = ItemVectors(
        metadata["model_id"],
        tuple(msgspec.json.decode(tensors["items"].tobytes(), type=list[str])),
        tensors["vectors"],
        tensors["available_at_ms"],
    )
    _require_whole(found)
    return found


def encode_record(record: VectorRecord) -> bytes:
    """Return the value of a record of the vectors topic."""
    raw = np.ascontiguousarray(record.vector, "<f4").tobytes()
    body = msgspec.msgpack.encode((record.model_id, record.text_sha256, record.available_at_ms, raw))
    return frame(Kind.VECTOR, SCHEMA_VERSION, body)


def decode_record(value: bytes) -> VectorRecord:
    """Read the value of a record of the vectors topic.

    Raises:
        CorruptBytes: not a whole frame, or a vector that is empty or not finite.
        UnknownSchema: a version that this build does not read.
    """
    body = unframe(value, Kind.VECTOR, SCHEMA_VERSION)
    try:
        model_id, text_sha256, at_ms, raw = msgspec.msgpack.decode(body, type=tuple[str, str, int, bytes])
        vector = np.frombuffer(raw, "<f4").astype(np.float32)
    except (msgspec.DecodeError, ValueError) as error:
        raise CorruptBytes(f"a vector record cannot be read: {error}; encode the item again") from None
    if not vector.size or not np.isfinite(vector).all():
        raise CorruptBytes(
            f"a vector record of model {model_id} has a vector of length {vector.size} that is empty or not finite; "
            "encode the item again"
        )
    return VectorRecord(model_id, text_sha256, at_ms, vector)


def text_sha256(text: str) -> str:
    """Return the hash that stands for a text in records and caches."""
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(metadata: dict[str, str], tensors: list[tuple[str, str, NDArray[np.generic]]]) -> str:
    whole = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, dtype, array in tensors:
        whole.update(f"{name}\0{dtype}\0{array.shape}\0".encode())
        whole.update(_raw(array))
    return whole.hexdigest()


def _raw(array: NDArray[np.generic]) -> memoryview:
    """Return an array's bytes without copying them where they lie in order."""
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # numpy's stub


def _require_whole(found: ItemVectors) -> None:
    n = len(found.items)
    if found.vectors.ndim != 2 or found.vectors.shape[0] != n or found.available_at_ms.shape != (n,):
        raise CorruptBytes(
            f"{n} items have vectors of shape {found.vectors.shape} and times of shape {found.available_at_ms.shape}; "
            f"expected ({n}, d) and ({n},); run `headwater encode` again"
        )
    if len(set(found.items)) != n:
        raise CorruptBytes(
            f"{n} items have {len(set(found.items))} names; expected each once; run `headwater encode` again"
        )
    finite = np.isfinite(found.vectors).all(axis=1)
    if not finite.all():
        bad = found.items[int(np.argmin(finite))]
        raise CorruptBytes(
            f"the vector of item {bad!r} has NaN or infinity; expected numbers; run `headwater encode` again"
        )


def _corrupt(path: Path, what: str) -> CorruptBytes:
    if is_vector_file(path):
        state, remedy = "no usable vector file", f"make it again with `headwater encode --out {path.name}`"
    else:  # someone's own file: nothing must tell them to write over it
        state, remedy = "no vector file", "name one made by `headwater encode --out`, or none: a replay then makes it"
    return CorruptBytes(f"{path} is {state}: {what}; {remedy}")
