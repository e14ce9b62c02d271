"""Laws of the network: it starts at 0, its gradient is the finite difference's, and storing it is invisible."""

import numpy as np

from online.batch import Scores
from online.network import Network, forward, step_network
from state.tables import Tables, decode_tables, encode_tables, sha256_of
from tests.small import copy_of

INPUTS, HIDDEN, N = 4, 3, 7


def columns(seed: int) -> Scores:
    return np.random.default_rng(seed).normal(size=(INPUTS, N)).astype(np.float32)


def forwarded(network: Network, X: Scores) -> tuple[Scores, Scores]:
    """Return the scores and the hidden layer."""
    score = np.empty(X.shape[1], np.float32)
    return score, forward(network.state, X, score)


def trained(steps: int = 20) -> Network:
    network = Network(INPUTS, HIDDEN, 0.05, seed=3)
    for seed in range(steps):
        X = columns(seed)
        score, hidden = forwarded(network, X)
        step_network(network.state, X, hidden, np.asarray((score - X[0] * X[1]) / N, np.float32))
    return network


def test_it_starts_at_nothing() -> None:
    """Before the first step every score is 0, so that the blend starts without it."""
    assert not forwarded(Network(INPUTS, HIDDEN, 0.05, seed=3), columns(0))[0].any()


def test_its_step_is_along_the_gradient() -> None:
    """Adam's first moment moves by a tenth of the way to the finite difference of the loss, for every weight."""
    network, X = trained(), columns(99)
    pull = np.random.default_rng(1).normal(size=N).astype(np.float32)
    before = copy_of(network.tables())
    _, hidden = forwarded(network, X)
    step_network(network.state, X, hidden, pull)
    got = (copy_of(network.tables())["mean"] - np.float32(0.9) * before["mean"]) * 10
    for k in range(len(before["all"])):
        sums = []
        for nudge in (1e-3, -1e-3):
            weights = before["all"].copy()
            weights[k] += np.float32(nudge)
            nudged = Network(INPUTS, HIDDEN, 0.05, seed=3)
            nudged.load({**before, "all": weights})
            sums.append(float(forwarded(nudged, X)[0].astype(np.float64) @ pull))
        np.testing.assert_allclose(got[k], (sums[0] - sums[1]) / 2e-3, atol=5e-3)


def test_it_learns_what_no_line_can() -> None:
    """The product of two inputs: the squared error falls to less than half."""
    X = columns(5)
    wanted = X[0] * X[1]
    before, after = (
        float(np.square(forwarded(network, X)[0] - wanted).sum()) for network in (trained(0), trained(600))
    )
    assert after < before / 2


def test_storing_is_invisible() -> None:
    """Restored weights and moments learn on as if nothing had been."""
    network, restored = trained(), Network(INPUTS, HIDDEN, 0.05, seed=4)
    stored: Tables = decode_tables(dict(encode_tables(network.tables())))
    restored.load(stored)
    for one in (network, restored):
        _, hidden = forwarded(one, columns(50))
        step_network(one.state, columns(50), hidden, columns(51)[0])
    assert sha256_of(network.tables()) == sha256_of(restored.tables())
