"""An encoder for tests: unit vectors from a text's hash; it remembers what it was asked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.encoder import id_vector


class HashEncoder:
    """Follows `models.encoder.Encoder` without a model."""

    def __init__(self, model_id: str = "hash@1", dim: int = 8, poison: str = "\0", precision: str = "float32") -> None:
        """Texts that hold `poison` get NaN."""
        self.model_id = model_id
        self.precision = precision
        self.dim = dim
        self.asked: list[str] = []
        self._poison = poison

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        out = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            out[row] = np.nan if self._poison in text else id_vector(text, self.dim)
        return out
