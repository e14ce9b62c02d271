"""All measures of a run in one table: the part `evaluation` of report.json."""

from typing import Any

from online.evaluation.bootstrap import DRAWS, LEVEL, MIN_USERS, SEED
from online.evaluation.calibration import calibration
from online.evaluation.curves import WINDOW
from online.evaluation.delivered import Delivered
from online.evaluation.frozen import Frozen, frozen_control
from online.evaluation.lists import actions, list_measures
from online.evaluation.log_loss import log_loss_report
from online.evaluation.outcomes import Outcomes
from online.evaluation.paired import by_slice
from online.evaluation.ranks import more_measures
from online.evaluation.serving import serving


def evaluate(run: Outcomes, delivered: Delivered, control: Frozen | None = None) -> dict[str, Any]:
    """Return every measure; a function of the run and its lists alone, and of the frozen control where there is one."""
    return {
        "uncertainty": {
            "method": "block bootstrap over users, percentiles; `minus` is headwater minus the model, paired by event",
            "draws": DRAWS,
            "seed": SEED,
            "level": LEVEL,
            "fewest_users": MIN_USERS,
        },
        "slices": by_slice(run),
        "measures": more_measures(run),
        "log_loss": log_loss_report(run, max(1, min(WINDOW, run.n // 10))),
        "calibration": calibration(run),
        "serving": serving(run, delivered),
        "lists": list_measures(run, delivered),
        "actions": actions(run, delivered),
        "frozen_control": None if control is None else frozen_control(run, control),
    }
