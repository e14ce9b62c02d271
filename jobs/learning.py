"""What the settings of learning may be: a learner is built from them long after the configuration was read."""

from typing import get_args

from jobs.values import Read, choice, number, numbers, whole
from online.settings import Preset
from state.user import WINDOW_MAX

DECAY = number(0, 1)  # a weight per item back
RATE = number(0, 10)  # an Adagrad step; 0 learns nothing, and twice the default is worse already

RANGES: dict[str, Read] = {
    "preset": choice(*get_args(Preset)),
    "seed": whole(0, 2**63 - 1),  # of numpy's generators; TOML ends there
    "history": whole(1, WINDOW_MAX),  # items; no more are kept of a user
    "batch": whole(1, 512),  # events; a half-life of 1 doubles a weight with each event, and float64 ends at 2 ** 1024
    "keep": whole(1, 1000),  # items, as top_k
    "dim": whole(1, 1024),  # more than any usual encoder has
    "half_lives": numbers(1, 1e9, most=16),  # events; an expert each, named by it to six digits
    "rules_window": whole(1, WINDOW_MAX),  # items
    "rules_decay": DECAY,
    "together_window": whole(1, WINDOW_MAX),  # items
    "together_decay": DECAY,
    "text_window": whole(1, WINDOW_MAX),  # items
    "text_decay": DECAY,
    "text_scale": number(0, 100),  # exp(100) is far from where float32 ends with a maximum taken out
    "text_neighbours": whole(1, 1000),  # items
    "head_rate": RATE,
    "short_window": whole(1, WINDOW_MAX),  # items
    "short_decay": number(0.001, 1),  # its logarithm is learned from
    "long_decay": number(0.001, 1),
    "full_softmax": whole(0, 10**9),  # items; 0 samples always
    "negatives": whole(1, 10_000),  # items; more is no sample
    "position_rate": RATE,
    "blend_rate": RATE,
    "mixture_rate": number(0, 1),
    "new_item_odds": number(0.001, 1000),  # its logarithm is added to scores; under "lean" nothing tells a new item
    "drift_boost": number(1, 100),  # times; a step is never larger than at the start
    "hidden": whole(1, 256),  # units
    "network_rate": number(0, 1),  # an Adam step moves each weight by about so much
}
"""Field of `online.settings.Learning` -> how it is read."""
