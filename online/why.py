"""Why an item stands where it does: what each part of the blend adds to its score."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from online.prequential import Scored

MIXTURE, NETWORK = "mixture", "network"
"""Parts of the blend beside the line-up's: what the experts agree on, and what the network adds to all of them."""


def explain(columns: Mapping[str, int], found: Scored, best: NDArray[np.int32]) -> list[dict[str, list[float]]]:
    """Return for each list part -> its share in the score of each item, in the order of the list.

    Only differences between candidates move an item, so each share is told relative to the mean of all candidates that
    the user had: the shares of an item add up to its score less the candidates' mean score (to rounding, 1e-3 a part).

    Args:
        columns: part -> how many features it has, in the order of the features.
        found: the candidates, their scores and terms.
        best: rows of the catalogue in each list, -1 beyond its end, shape (B, K).
    """
    first = np.cumsum([0, *columns.values()])[:-1]
    real = np.arange(found.item.shape[1]) < found.n[:, None]  # shape (B, C)
    terms = np.where(real, found.terms.transpose(1, 0, 2), 0)
    linear = np.concatenate([np.add.reduceat(terms[:-1], first, axis=0), terms[-1:]])
    parts = np.concatenate([linear, (np.where(real, found.score, 0) - linear.sum(axis=0))[None]])
    names = [*columns, MIXTURE, NETWORK]
    place = (np.where(real, found.item, -2)[:, None, :] == best[:, :, None]).argmax(axis=2)
    mean = parts.sum(axis=2) / np.maximum(found.n, 1)
    shares = np.take_along_axis(parts, place[None], axis=2) - mean[:, :, None]  # shape (parts, B, K)
    rounded = (np.round(shares.astype(np.float64), 3) + 0.0).transpose(1, 0, 2)  # 0.0, never -0.0
    length = np.count_nonzero(best >= 0, axis=1).tolist()
    return [
        {name: of_part[:k] for name, of_part in zip(names, of_user, strict=True)}
        for of_user, k in zip(rounded.tolist(), length, strict=True)
    ]
