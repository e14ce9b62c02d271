"""What a replay measures when its run is over: all that its outputs tell, its peers, and the frozen control."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from jobs.catalogues import load_catalogue
from jobs.logs import read_canonical
from models.vectors import read_vectors
from online.evaluation.delivered import DeliveredList, gather
from online.evaluation.frozen import Frozen, run_frozen
from online.evaluation.outcomes import Outcomes, collect
from online.evaluation.peers.base import SAMPLE, Peer, item_names, rank_peers
from online.evaluation.summary import evaluate
from online.learner import Learner
from online.report import json_lines
from online.settings import Settings

MAX_PEER_EVENTS = 1_000_000  # of a longer log the peers, who take some 50 us an event, are left out


class Wanted(NamedTuple):
    """What is measured besides the run itself; each is a further pass over the log."""

    peers: bool  # RAISGD and River's BiasedMF
    frozen: bool  # the frozen control


class Evaluated(NamedTuple):
    """What came out."""

    run: Outcomes  # with the ranks of the peers
    evaluation: dict[str, Any]


def evaluate_run(metrics: Path, lists: Path, log: Path, vectors: Path, settings: Settings, wanted: Wanted) -> Evaluated:
    """Return every measure of a run.

    Args:
        metrics: the run's metrics lines.
        lists: folder of its lists.
        log: canonical.
        vectors: of the items.
        settings: of the run.
        wanted: what else to measure.
    """
    seconds: dict[str, float] = {}
    with _timed("reading", seconds):
        run = collect(json_lines([metrics]))
        delivered = gather(json_lines([lists], DeliveredList), run)
    told = "left out by --no-peers"
    if wanted.peers:
        told = f"left out: the log has more than {MAX_PEER_EVENTS:,} events"
        if run.n <= MAX_PEER_EVENTS:
            told = f"learned every event; ranked a random {min(SAMPLE, run.n):,} of them, over the whole catalogue"
            with _timed("peers", seconds):
                items = item_names(run, read_vectors(vectors).items)
                ranks = rank_peers(_peers(run, items), read_canonical(log), settings, run, items)
                run = run._replace(ranks={**run.ranks, **ranks})
    control: Frozen | None = None
    if wanted.frozen:
        print("frozen control: the run once more, to be stopped from learning at 90 %", file=sys.stderr)
        with _timed("frozen_control", seconds):
            learner = Learner(settings, load_catalogue(vectors, settings))
            control = run_frozen(read_canonical(log), learner, settings, run.n * 9 // 10)
            del learner
    with _timed("measures", seconds):
        measured = evaluate(run, delivered, control)
    return Evaluated(run, {**measured, "peers": told, "seconds": seconds})


def _peers(run: Outcomes, items: Sequence[str]) -> list[Peer]:
    from online.evaluation.peers.raisgd import Raisgd
    from online.evaluation.peers.river_mf import RiverBiasedMF

    return [Raisgd(len(run.users), len(items)), RiverBiasedMF(len(run.users), len(items))]


@contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - start, 2)
