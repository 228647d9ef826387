"""How hypothesis looks for examples here: the same ones on each machine, in each order of tests."""

import os

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# By default hypothesis mixes in the constants of all modules that were imported so far and that lie
# in no folder `tests`: who runs one file, another process of the same run, or a checkout below
# another folder would see other examples, also where they are derandomized.
providers.is_local_module_file = lambda path: False  # type: ignore[attr-defined, assignment]


def load_profile() -> None:
    """Choose how many examples are tried: `HYPOTHESIS_PROFILE` names it."""
    # A busy machine is not a bug, and who changes one thing should not meet the fault of another.
    settings.register_profile(
        "patient", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    patient = settings.get_profile("patient")
    settings.register_profile("quick", patient, max_examples=15)
    settings.register_profile("thorough", patient, derandomize=False, max_examples=2_000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))
