"""River's BiasedMF: the matrix factorisation of the best known library for online learning, as its users run it."""

import numpy as np
from numpy.typing import NDArray
from river import optim, reco


class RiverBiasedMF:
    """`river.reco.BiasedMF` with target 1 for an event, and 0 for a random item each, because it predicts a number.

    From positives alone it learns that everything is 1. Rate and number of negatives were chosen on the first 20 % of
    MovieTweetings and the first 10 % of Online Retail; three negatives gain .004 HR@10 there and take twice the time.
    Its predictions are read from its own tables: a call for each item would take a hundred times as long.
    """

    def __init__(
        self, users: int, items: int, *, factors: int = 10, rate: float = 0.01, negatives: int = 1, seed: int = 7
    ) -> None:
        """Start from small random factors.

        Args:
            users, items: how many there will be.
            factors: of a user and of an item.
            rate: of the gradient step, for factors and biases.
            negatives: random items pulled to 0 at each event.
            seed: of the factors and the negatives.
        """
        self.name = "river_biased_mf"
        self._model = reco.BiasedMF(
            n_factors=factors,
            bias_optimizer=optim.SGD(rate),
            latent_optimizer=optim.SGD(rate),
            latent_initializer=optim.initializers.Normal(sigma=0.1, seed=seed),
        )
        self._rng = np.random.default_rng(seed)
        self._negatives = negatives
        # Copies of the model's tables; reading an item there for the first time makes its factors.
        self._factors = np.array([self._model.i_latents[item] for item in range(items)]).reshape(items, factors)
        self._biases = np.zeros(items)

    def scores(self, user: int) -> NDArray[np.float64]:
        """See `Peer`; without the mean and the user's bias, which change no order."""
        scores: NDArray[np.float64] = self._factors @ self._model.u_latents[user] + self._biases
        return scores

    def learn(self, user: int, item: int) -> None:
        """See `Peer`."""
        self._learn(user, item, 1.0)
        for other in self._rng.integers(0, len(self._biases), self._negatives).tolist():
            self._learn(user, other, 0.0)

    def _learn(self, user: int, item: int, target: float) -> None:
        self._model.learn_one(user, item, target)  # type: ignore[no-untyped-call]
        self._factors[item] = self._model.i_latents[item]
        self._biases[item] = self._model.i_biases[item]
