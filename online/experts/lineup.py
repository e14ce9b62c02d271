"""Which experts and signals a learner has, in which order."""

import math
from typing import NamedTuple

from online.batch import Scores
from online.experts.base import Column, Signal, SlowExpert
from online.experts.fresh import FreshText
from online.experts.head import Head, Memory
from online.experts.life import ItemLife
from online.experts.own import OwnItems, OwnSequence
from online.experts.popularity import Popularity
from online.experts.rules import SequentialRules
from online.experts.text import FrozenText
from online.experts.together import Together
from online.sampling import Sampling
from online.settings import Candidates, Learning


class Lineup(NamedTuple):
    """What the blend weighs: experts, which put items forward, then signals, which only describe them."""

    experts: list[Signal]
    signals: list[Signal]
    slow: list[SlowExpert]  # those of them that work by batches

    @property
    def parts(self) -> list[Signal]:
        """All of them."""
        return [*self.experts, *self.signals]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The features, in the order of the parts."""
        return tuple(column for part in self.parts for column in part.columns)


def lineup(settings: Learning, candidates: Candidates, base: Scores) -> Lineup:
    """Return the preset's line-up over text vectors `base`, shape (N, d).

    Own pasts are read only where an item may come again.
    """
    again, lean = candidates != "unseen", settings.preset == "lean"
    popular: list[Signal] = [
        Popularity(f"popularity_{half_life:g}", half_life, base) for half_life in settings.half_lives
    ]
    together = Together(settings.together_window, settings.together_decay, base)
    text = FrozenText(settings.text_window, settings.text_decay, settings.text_scale, settings.text_neighbours, base)
    short, long = Memory(settings.short_window, settings.short_decay), Memory(settings.history, settings.long_decay)
    head = Head(
        "head",
        [long] if lean else [short, long],
        settings.head_rate,
        settings.position_rate,
        Sampling(0 if lean else settings.full_softmax, settings.negatives, settings.seed),
        settings.keep,
        base,
    )
    own: list[Signal] = [OwnItems(base)] if again else []
    if lean:
        return Lineup([*popular, together, text, *own, head], [], [head])
    all_time = Popularity("popularity_all_time", math.inf, base)
    rules = SequentialRules(settings.rules_window, settings.rules_decay, base)
    own += [OwnSequence(base)] if again else []
    return Lineup(
        [*popular, all_time, rules, together, text, *own, head], [ItemLife(base), FreshText(text, base)], [head]
    )
