"""The frozen text encoder: its contract, and the sentence-transformers model that follows it."""

import ctypes
import hashlib
import math
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.weights import DEFAULT_MODEL, find_model
from state.errors import HeadwaterError

Vectors = NDArray[np.float32]

MAX_CHARS = 32_768  # of one text; about 8,000 tokens, more than nearly every encoder reads, so that none stalls a batch
BYTES_PER_DIM = 12  # of the id vector: 12 uniform variables have variance 1 and a sum close to normal


class Encoder(Protocol):
    """A frozen text encoder: equal text means an equal vector, for as long as `model_id` is the same."""

    @property
    def model_id(self) -> str:
        """Name and revision, stored beside every vector; vectors of two ids never meet."""
        ...

    @property
    def precision(self) -> str:
        """What it computes with, as in "float32"; vectors of two precisions differ in their last bits."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors, shape (len(texts), dim), float32, in the order of `texts`."""
        ...


def id_vector(item: str, dim: int) -> Vectors:
    """Return the unit vector of an item without text: it depends on the item's id and `dim` alone.

    Each component is the sum of 12 bytes of SHAKE-256 over the id, less its mean: close to normal, so two items are
    nearly orthogonal and mean nothing to each other. All sums are whole numbers, so the bits are the same on every
    machine.
    """
    raw = hashlib.shake_256(b"headwater item\0" + item.encode()).digest(BYTES_PER_DIM * dim)
    sums = np.frombuffer(raw, np.uint8).reshape(dim, BYTES_PER_DIM).sum(axis=1, dtype=np.int64)
    whole = 2 * sums - 255 * BYTES_PER_DIM  # doubled, so that the mean is a whole number
    whole[0] += not whole.any()  # a vector of few dimensions may fall on 0
    norm = math.sqrt(int(whole @ whole))
    vector: Vectors = (whole / norm).astype(np.float32)
    return vector


class TextEncoder:
    """A sentence-transformers model: half precision on CUDA, float32 on the CPU. The weights load on first use.

    On the CPU each batch is computed by one thread and as many batches run at once as there are cores: no thread waits
    at a barrier inside a layer, and the bits do not depend on the number of cores.
    """

    def __init__(self, model: str = DEFAULT_MODEL, *, batch: int | None = None, device: str | None = None) -> None:
        """Find the model and check its files; nothing is loaded.

        Args:
            model: a sentence-transformers name, "name@revision", or a folder.
            batch: texts per batch at most; None: 64 on the CPU, 512 on CUDA.
            device: "cpu" or "cuda"; None: CUDA where there is one.

        Raises:
            HeadwaterError: there is no such model, or its files are not to be trusted.
        """
        self._files = find_model(model)
        self._batch = batch
        self._wanted = device
        self._loaded: Any = None
        self._lock = threading.Lock()

    @property
    def model_id(self) -> str:
        """Name and revision."""
        return self._files.model_id

    @property
    def precision(self) -> str:
        """Half precision on CUDA, float32 on the CPU; loads nothing."""
        return "float16" if self._device().startswith("cuda") else "float32"

    @property
    def dim(self) -> int:
        """Length of a vector; loads the model."""
        model = self._model()
        ask = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension  # new, old name
        return int(ask())

    @property
    def device(self) -> str:
        """What the model runs on, as in "cpu"; "not loaded" before the first text."""
        return "not loaded" if self._loaded is None else str(self._loaded.device.type)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors, shape (len(texts), dim), float32, in the order of `texts`.

        Batches are cut after sorting by length in tokens and by text, so a vector depends on the set of texts and not
        on their order (the matrix product of another batch shape may differ in the last bit).
        """
        model = self._model()
        out = np.empty((len(texts), self.dim), np.float32)
        texts = [text[:MAX_CHARS] for text in texts]
        on_cuda = self.device == "cuda"
        batches = _batches(texts, self._lengths(texts), self._batch or (512 if on_cuda else 64), _tokens(on_cuda))
        if on_cuda:
            done: Iterable[Vectors] = (_forward(model, [texts[k] for k in batch]) for batch in batches)
            self._collect(out, batches, done)
            return out
        import torch

        workers = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            self._collect(out, batches, pool.map(lambda batch: _forward(model, [texts[k] for k in batch]), batches))
        return out

    @staticmethod
    def _collect(out: Vectors, batches: list[list[int]], done: Iterable[Vectors]) -> None:
        for batch, vectors in zip(batches, done, strict=True):
            out[batch] = vectors

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in tokens where the tokenizer tells it, else a guess from its characters."""
        tokenizer = getattr(self._loaded, "tokenizer", None)
        most = getattr(self._loaded, "max_seq_length", None) or 512
        if not callable(tokenizer):
            return [min(most, 2 + len(text) // 4) for text in texts]
        found = tokenizer(list(texts), truncation=True, max_length=most, padding=False) if texts else {"input_ids": []}
        return [len(tokens) for tokens in found["input_ids"]]

    def _model(self) -> Any:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> Any:
        # The files are here: either the model is local or `find_model` has fetched it. Nothing asks a hub from now on.
        os.environ["HF_HUB_OFFLINE"] = "1"
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # of reading 100 tensors, in 50 ms
        device = self._device()
        try:
            model = SentenceTransformer(
                str(self._files.folder),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:  # the library raises nearly every class, for files that users bring
            raise HeadwaterError(
                f"cannot load the model {self._files.folder} on {device}: {type(error).__name__}: {error}; "
                "expected a sentence-transformers model with safetensors weights and no code of its own; "
                "check that the folder is complete"
            ) from error
        model.eval()
        return model.half() if self.precision == "float16" else model.float()

    def _device(self) -> str:
        if self._wanted is None:
            self._wanted = "cuda" if _has_cuda() else "cpu"
        return self._wanted


def _has_cuda() -> bool:
    """Ask torch, but not where there is no driver: it takes seconds to import, also where the cache has everything."""
    if sys.platform == "linux" and not Path("/dev/kfd").exists():  # of AMD, which torch calls CUDA too
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return False
    import torch

    return bool(torch.cuda.is_available())


def _tokens(on_cuda: bool) -> int:
    """Return how many tokens, padding included, make a full batch."""
    return 32_768 if on_cuda else 1_024  # CPU: activations stay in the cache; 2,048 measured 10 % slower


def _batches(texts: Sequence[str], lengths: Sequence[int], most_texts: int, most_tokens: int) -> list[list[int]]:
    """Cut the texts, longest first (memory runs out at once or never), into batches of about equal work."""
    order = sorted(range(len(texts)), key=lambda k: (-lengths[k], texts[k]))
    batches = []
    start = 0
    while start < len(order):
        size = max(1, min(most_texts, most_tokens // max(1, lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches


def _forward(model: Any, texts: list[str]) -> Vectors:
    """Embed one batch; out of GPU memory, embed its halves."""
    import torch

    try:
        raw = model.encode_document(texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True)
    except torch.OutOfMemoryError:
        if len(texts) == 1:
            raise
        torch.cuda.empty_cache()
        middle = len(texts) // 2
        return np.concatenate([_forward(model, texts[:middle]), _forward(model, texts[middle:])])
    vectors = np.asarray(raw, np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):  # a zero vector becomes NaN, which the caller names
        unit: Vectors = (vectors / norms).astype(np.float32)
    return unit
