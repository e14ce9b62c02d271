"""Which experts a learner has, in which order."""

import math

from online.batch import Scores
from online.experts.base import Expert
from online.experts.head import Head
from online.experts.popularity import Popularity
from online.experts.rules import SequentialRules
from online.experts.text import FrozenText
from online.sampling import Sampling
from online.settings import Learning


def lineup(settings: Learning, base: Scores) -> list[Expert]:
    """Return the experts over text vectors `base`, shape (N, d); the last one's scores are still at hand to learn."""
    return [
        *(Popularity(f"popularity_{half_life:g}", half_life, base) for half_life in settings.half_lives),
        Popularity("popularity_all_time", math.inf, base),
        SequentialRules(settings.rules_window, settings.rules_decay, base),
        FrozenText(settings.text_window, settings.text_decay, settings.text_scale, settings.text_neighbours, base),
        Head(
            "head",
            settings.history,
            settings.head_decay,
            settings.head_rate,
            settings.position_rate,
            Sampling(settings.full_softmax, settings.negatives, settings.seed),
            base,
        ),
    ]
