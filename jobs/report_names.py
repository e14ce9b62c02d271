"""Names of models in reports, and the one that all are held against."""

from collections.abc import Mapping, Sequence
from typing import Any

from online.evaluation.outcomes import OWN

OURS = (OWN, "headwater_request")
"""What is ours as a whole; all other models are its parts, baselines or peers."""

_NAMES = {
    "headwater_request": "headwater on request",
    "raisgd": "RAISGD",
    "river_biased_mf": "River BiasedMF",
}


def ranked(metrics: Mapping[str, Any], name: str) -> list[str]:
    """Return the models, best HR@10 of a slice first."""
    return sorted(metrics, key=lambda model: (-metrics[model][name]["hr@10"], model))


def yardstick(models: Sequence[str]) -> str:
    """Return the best popularity with a half-life, the first of `models`, which are ranked; "" when there is none."""
    decayed = [model for model in models if model.startswith("popularity_") and model != "popularity_all_time"]
    return decayed[0] if decayed else next((model for model in models if model.startswith("popularity")), "")


def label(model: str) -> str:
    """Return a model's name for people."""
    if model.startswith("popularity_") and model[11:].replace("+", "").replace("e", "").isdigit():
        return f"popularity, half-life {float(model[11:]):,.0f}"
    return _NAMES.get(model, model.replace("_", " "))
