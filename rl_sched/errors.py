"""The errors that a user of ``rl_sched`` may see.

Every message is a sentence that says what must hold, what was given, and what to do. The verbs
(``python -m rl_sched.VERB``) print the message alone and exit with code 2.
"""


class RlSchedError(Exception):
    """Root of all errors raised on purpose by this package."""


class ConfigError(RlSchedError):
    """A setting, a name or a command line flag is not one that the project knows, or has a bad value."""


class WorkloadError(RlSchedError):
    """A workload breaks an invariant (a job of zero GPUs, a negative time, ...)."""


class TraceError(WorkloadError):
    """A trace file cannot be read; the message names file, line and field."""


class SimulationError(RlSchedError):
    """A policy asked for something impossible, or an invariant of the simulator broke."""


class PlacementError(RlSchedError):
    """A static placement problem is malformed, or no placement serves every job."""


class CheckpointError(RlSchedError):
    """A checkpoint is missing, incomplete, or does not reproduce its stored outputs."""


class TrainingError(RlSchedError):
    """A training run cannot go on."""


class SweepError(RlSchedError):
    """A sweep's plan cannot be run, or its folder belongs to another plan."""
