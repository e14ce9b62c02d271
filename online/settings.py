"""What shapes every list: the settings of the loop and of learning, each with its unit and reason."""

from dataclasses import dataclass, field
from typing import Literal

Candidates = Literal["unseen", "not_in_basket", "all"]
Preset = Literal["full", "lean"]


@dataclass(frozen=True)
class Learning:
    """Settings of the learner; all of them are part of a list's inputs."""

    preset: Preset = "full"  # the line-up; "lean" is faster and keeps most of the quality (docs/quality.md)
    seed: int = 7  # of every random number
    history: int = 50  # newest items of a user that the experts read as a sequence
    batch: int = 64  # events per mini-batch: 32 gains .0002 HR@10, 128 costs .001, 512 costs .02 (docs/quality.md)
    keep: int = 25  # items that each expert puts forward as candidates; 40 is no better within the error, and slower
    dim: int = 64  # of the head and of the whitened text; 128 gains .001 HR@10
    half_lives: tuple[float, ...] = (500.0, 20000.0)  # events; 100 and 3000 beside them changed nothing
    rules_window: int = 10  # items back that a sequential rule reaches
    rules_decay: float = 0.8  # weight of the d-th newest item is rules_decay ** d
    together_window: int = 5  # items apart that count as together
    together_decay: float = 0.4  # weight of the basket's d-th newest item is together_decay ** d
    text_window: int = 5  # newest items whose mean text is the query
    text_decay: float = 0.5  # per item back
    text_scale: float = 4.0  # inverse temperature of the text softmax
    text_neighbours: int = 32  # of each item, among which the text expert looks; 64 gains .0006 of its own HR@10
    head_rate: float = 0.8  # Adagrad step of the head's rows; .4 loses .01 HR@10, 1.6 loses .01
    short_window: int = 5  # items back that the head's short memory reads
    short_decay: float = 0.4  # positional weights of the short memory start at short_decay ** d
    long_decay: float = 0.9  # the same of the long memory, which reads all `history`
    full_softmax: int = (
        20_000  # items up to which the full preset's head learns from all of them; beyond, from a sample
    )
    negatives: int = 256  # of a sample, per mini-batch
    position_rate: float = 0.05  # Adagrad step of the positional weights
    blend_rate: float = 0.007  # Adagrad step of the blend's weights; .005 and .01 are within .001 HR@10
    mixture_rate: float = 0.02  # step of the weights of the experts' mixture
    new_item_odds: float = 1.0  # times that lists raise the odds of an item nobody had; 3 costs .001 HR@10
    drift_boost: float = 1.2  # times that the blend's steps grow when the loss has risen; 2 costs .0005 NDCG@10
    hidden: int = 24  # units of the blend's network
    network_rate: float = 0.004  # Adam step of the blend's network


@dataclass(frozen=True)
class Settings:
    """Settings of the loop; with the events, items and vectors they determine every list."""

    domain: str = ""  # the one domain this job serves
    candidates: Candidates = "unseen"  # which items may enter a user's list
    top_k: int = 20  # items per list
    why: bool = False  # each list tells what every part of the blend adds to its items' scores
    tick_ms: int = 3_600_000  # event time between two refreshes
    lateness_ms: int = 3_600_000  # how far a record may lie behind the newest of its partition
    max_bytes: int = 1 << 20  # a larger record is not parsed
    shards: int = 16  # keys that users are spread over
    learning: Learning = field(default_factory=Learning)
