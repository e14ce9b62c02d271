"""Which experts and signals a learner has, in which order."""

import math
from typing import NamedTuple

from online.batch import Scores
from online.experts.base import Column, Expert, Signal
from online.experts.head import Head, Memory
from online.experts.life import ItemLife
from online.experts.own import OwnItems, OwnSequence
from online.experts.popularity import Popularity
from online.experts.rules import SequentialRules
from online.experts.text import FrozenText
from online.sampling import Sampling
from online.settings import Candidates, Learning


class Lineup(NamedTuple):
    """What the blend weighs: experts, which put items forward, and signals, which only describe them."""

    experts: list[Expert]
    signals: list[Signal]
    long: frozenset[str] = (
        frozenset()
    )  # experts whose calls are each one kernel of ms, which lets go of the interpreter

    @property
    def parts(self) -> list[Signal]:
        """All of them."""
        return [*self.experts, *self.signals]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The features, in the order of the parts."""
        return tuple(column for part in self.parts for column in part.columns)


def lineup(settings: Learning, candidates: Candidates, base: Scores) -> Lineup:
    """Return the line-up over text vectors `base`, shape (N, d); own pasts only where an item may come again."""
    own: list[Expert] = [] if candidates == "unseen" else [OwnItems(), OwnSequence()]
    experts: list[Expert] = [
        *(Popularity(f"popularity_{half_life:g}", half_life, base) for half_life in settings.half_lives),
        Popularity("popularity_all_time", math.inf, base),
        SequentialRules(settings.rules_window, settings.rules_decay, base),
        FrozenText(settings.text_window, settings.text_decay, settings.text_scale, settings.text_neighbours, base),
        *own,
        Head(
            "head",
            (Memory(settings.short_window, settings.short_decay), Memory(settings.history, settings.long_decay)),
            settings.head_rate,
            settings.position_rate,
            Sampling(settings.full_softmax, settings.negatives, settings.seed),
            base,
        ),
    ]
    return Lineup(experts, [ItemLife(base)], frozenset({"head"}))
