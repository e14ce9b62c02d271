"""Laws of drift detection: river's alarms, and none of it is lost by a restart; larger steps after a rise."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from river.drift import ADWIN

from online.drift import Adwin, quicken, relative_losses
from online.learner import Learner
from online.settings import Learning
from state.tables import decode_tables, encode_tables, sha256_of
from tests.online.test_learner import Stepper, by_tick
from tests.small import START_MS, small_catalogue, small_settings
from tests.strategies import Timed, quick


def stream(seed: int, parts: int) -> NDArray[np.float64]:
    """Return losses whose mean changes `parts` - 1 times."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.beta(2, 5, rng.integers(50, 2000)) * rng.uniform(0.3, 1) for _ in range(parts)])


def alarms(values: NDArray[np.float64]) -> list[int]:
    """Return where river's detector sees a change."""
    detector: Any = ADWIN()  # type: ignore[no-untyped-call]
    found = []
    for at, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(at)
    return found


@given(seed=st.integers(0, 1000), parts=st.integers(1, 4))
@quick
def test_alarms_are_rivers(seed: int, parts: int) -> None:
    """The same alarms at the same values as `river.drift.ADWIN`."""
    values = stream(seed, parts)
    detector, found = Adwin(), []
    for at, value in enumerate(values):
        before = detector.rises + detector.falls
        detector.update(np.array([value]))
        found += [at] * (detector.rises + detector.falls - before)
    assert found == alarms(values)


def test_a_rise_is_no_fall() -> None:
    """A mean that goes up counts as a rise, one that goes down as a fall."""
    rng = np.random.default_rng(0)
    low, high = rng.uniform(0.1, 0.3, 2000), rng.uniform(0.6, 0.8, 2000)
    detector = Adwin()
    detector.update(np.concatenate([low, high]))
    assert (detector.rises, detector.falls) == (1, 0)
    detector.update(low)
    assert (detector.rises, detector.falls) == (1, 1)


@given(seed=st.integers(0, 1000), cut=st.integers(0, 5000))
@quick
def test_storing_and_cutting_are_invisible(seed: int, cut: int) -> None:
    """In two batches with a restart between them: the same bytes as in one."""
    values = stream(seed, 3)
    whole, first, second = Adwin(), Adwin(), Adwin()
    whole.update(values)
    first.update(values[:cut])
    second.load(decode_tables(dict(encode_tables(first.tables()))))
    second.update(values[cut:])
    assert sha256_of(second.tables()) == sha256_of(whole.tables())


def test_losses_are_relative_to_knowing_nothing() -> None:
    """Certain and right is 0, a uniform guess or a miss 1, and what is not scored is left out."""
    p = np.array([1.0, 0.1, 0.01, 0.0, 0.001, 0.5], np.float32)
    losses = relative_losses(p, np.array([1, 1, 1, 1, 1, 0], np.bool_), 100)
    np.testing.assert_allclose(losses, [0, 0.5, 1, 1, 1], atol=1e-6)


def test_steps_grow_at_most_to_the_first() -> None:
    """Steps are the rate over the root of the accumulator: twice as large, where that is not above the start's."""
    squares = np.array([1.0, 2.0, 4.0, 400.0], np.float32)
    quicken(squares, 2.0, 1.0)
    assert squares.tolist() == [1.0, 1.0, 1.0, 100.0]


@pytest.mark.parametrize("boost", [1.0, 2.0])
def test_a_drift_raises_the_steps_and_is_told(boost: float) -> None:
    """Everybody follows one cycle of items, then another: the metrics tell of a rise, and accumulators shrink."""
    rng = np.random.default_rng(3)
    items = [f"i{n:02d}" for n in range(30)]
    cycles = [rng.permutation(30), rng.permutation(30)]
    place = rng.integers(0, 30, 20)
    timeline = []
    for n in range(3000):
        user, cycle = n % 20, cycles[n >= 2000]
        place[user] = (place[user] + 1) % 30
        timeline.append(Timed(START_MS + n * 500, f"u{user:02d}", items[cycle[place[user]]], f"e{n:05d}", ""))
    settings = small_settings("all", Learning(dim=6, hidden=4, batch=16, drift_boost=boost))
    stepper = Stepper(settings, Learner(settings, small_catalogue(items)))
    shrunk = {"blend.squares": 0, "blend.gap_squares": 0}
    rises = 0
    for end_ms, events in by_tick(timeline):
        before: dict[str, NDArray[Any]] = {name: stepper.learner.tables()[name].copy() for name in shrunk}
        told = stepper.tick(events, end_ms).metrics.drifts
        after: dict[str, NDArray[Any]] = dict(stepper.learner.tables())
        for name, table in before.items():
            shrunk[name] += int((after[name] < table).any())
        assert told[0] - rises in (0, 1)
        if told[0] > rises:
            assert events[-1].event_id >= "e02000"
        rises = told[0]
    assert rises >= 1
    assert list(shrunk.values()) == ([0, 0] if boost == 1 else [rises, rises])
