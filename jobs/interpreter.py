"""Settings of the Python interpreter that the operators run in."""

import gc
import sys

SWITCH_S = 0.0002  # how long an operator that asks for the interpreter waits before the one that has it must yield
YOUNG = 200_000  # objects made, less those freed, between two looks for cycles among the young ones


def tune_interpreter() -> None:
    """Make the interpreter fit the loop; to be called again when what lives long has been made.

    Nearly all objects live for one tick and die without the help of the collector of cycles, which took a tenth of the
    learner's time. And in thread mode the Learner, which lets go of the interpreter in long kernels, would get it back
    from Sessions only after Python's default of 5 ms.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 100)
    sys.setswitchinterval(SWITCH_S)
