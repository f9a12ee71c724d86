"""Jobs that take turns on a GPU must get on in each of them."""

from __future__ import annotations

from rl_sched.errors import ConfigError
from rl_sched.sim.loading import restart_costs
from rl_sched.sim.rules import Rules
from rl_sched.workload import Workload


def check_turns(field: str, turn_s: float, workload: Workload, rules: Rules) -> None:
    """Turns must be longer than a restart costs, tail included: else two jobs could restart in turns for ever.

    Args:
        field: The policy's parameter that says how long a turn is; rounds of the rules override it.
        turn_s: Its value; 0 = there are no turns.
        workload: The jobs.
        rules: The rules.

    Raises:
        ConfigError: They are not, for some gang of the workload.
    """
    field, turn_s = ("round_s of the rules", rules.round_s) if rules.round_s else (field, turn_s)
    if not rules.preemption or turn_s == 0:
        return
    cost_s = restart_costs(workload.num_gpus, rules) + rules.preemptive_tail_s
    row = int(cost_s.argmax())
    if cost_s[row] >= turn_s:
        raise ConfigError(
            f"Turns must be longer than what a restart costs, or jobs that take turns never get on; {field} is "
            f"{turn_s:g} s and a gang of {workload.num_gpus[row]} GPUs pays {cost_s[row]:g} s (restart_s and "
            f"preemptive_tail_s). Raise {field}, or lower these."
        )
