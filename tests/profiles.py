"""How hypothesis generates examples: the same on each machine, in each order of tests."""

import os
import warnings

from hypothesis import HealthCheck, settings
from hypothesis.errors import HypothesisSideeffectWarning
from hypothesis.internal import charmap
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


def prepare_characters() -> None:
    """Make the table of all characters once, instead of in each process of a run."""
    with warnings.catch_warnings():  # that it takes time at this point
        warnings.simplefilter("ignore", HypothesisSideeffectWarning)
        charmap.charmap()
        charmap.intervals_from_codec("utf-8")
