"""What is known about checkpoints and failures without simulating them."""

import math


def expected_seconds(work: float, interval: float, cost: float, restart: float, mttf: float) -> float:
    """How long `work` takes, in seconds as all arguments are, with a checkpoint after every `interval` of it.

    Failures come at random (exponential, mean `mttf`), also while checkpoints are written and while it
    restarts. Exact where work is a multiple of interval: the complete model of Daly 2006
    (doi 10.1016/j.future.2004.11.016).
    """
    return work / interval * mttf * math.exp(restart / mttf) * math.expm1((interval + cost) / mttf)
