"""``--extend``: more seeds, configurations, scenarios or arms for a sweep that has run; what it has done is reused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rl_sched.config import apply_overrides, build, to_dict
from rl_sched.errors import ConfigError, SweepError
from rl_sched.registry import did_you_mean
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.plan import Plan
from rl_sched.sweeps.plan_checks import check_plan

KEYS = ("seeds", "scenarios", "configurations", "arms.SETTING", "listed.NAME")


def extend(plan: Plan, texts: Sequence[str], ledger: Ledger) -> Plan:
    """The plan with more in it.

    Args:
        plan: As its file and the command line have it.
        texts: ``KEY=VALUE``: lists are added to those of the plan (``seeds=[6,7]``, ``scenarios=[philly]``,
            ``arms.env.lookahead=[cdf]``), a number is how many there are to be in all (``seeds=10``,
            ``configurations=32``), ``listed.NAME={...}`` is one more arm. Given twice it changes nothing more, so that
            the same command continues an interrupted extension.
        ledger: Of the sweep, which must have run.

    Raises:
        SweepError: There is no such sweep.
        ConfigError: Something else than an extension is asked for.
    """
    if not (ledger.root / "plan.json").is_file():
        raise SweepError(f"--extend needs a sweep that has run; {ledger.root} holds none. Leave --extend out.")
    data: dict[str, Any] = to_dict(plan)
    for text in texts:
        key, _, value = text.partition("=")
        key = key.strip()
        new = _value(text)
        if key == "seeds":
            data["seeds"] = _more(key, data["seeds"], _seeds(plan, new))
        elif key == "scenarios":
            data["scenarios"] = _more(key, data["scenarios"], new)
        elif key == "configurations":
            if not isinstance(new, int) or new < plan.budget.configurations:
                raise ConfigError(
                    f"--extend configurations must be at least the {plan.budget.configurations} of the plan; it is "
                    f"{value.strip()}."
                )
            data["budget"]["configurations"] = new
        elif key.startswith("arms.") and key.removeprefix("arms.") in plan.arms:
            path = key.removeprefix("arms.")
            more = _more(key, data["arms"][path], new)
            kept = len(data["arms"][path])
            # leave_one_out starts from the last value: it stays the last.
            data["arms"][path] = more[kept:] + more[:kept] if plan.design == "leave_one_out" else more
        elif key.startswith("listed."):
            name = key.removeprefix("listed.")
            if not isinstance(new, dict) or data["listed"].get(name, new) != new:
                raise ConfigError(f"--extend {key} must give the settings of an arm that is not there yet: {{a.b: 1}}.")
            data["listed"][name] = new
        else:
            known = [*KEYS[:3], *(f"arms.{path}" for path in plan.arms), KEYS[-1]]
            raise ConfigError(f"--extend does not know {key!r}. {did_you_mean(key, known)}")
    extended = build(Plan, data)
    check_plan(extended)
    return extended


def _value(text: str) -> Any:
    return apply_overrides({}, [f"value={text.partition('=')[2]}"])["value"]


def _more(key: str, old: Sequence[Any], new: Any) -> list[Any]:
    if not isinstance(new, list):
        raise ConfigError(f"--extend {key} must give a list, [a, b]; it is {new!r}.")
    return [*old, *(value for value in new if value not in old)]


def _seeds(plan: Plan, new: Any) -> Any:
    """A number of seeds as a list: those of the plan, then the numbers that follow the largest."""
    if not isinstance(new, int) or isinstance(new, bool):
        return new
    if new < len(plan.seeds):
        raise ConfigError(f"--extend seeds must be at least the {len(plan.seeds)} of the plan; it is {new}.")
    largest = max(plan.seeds)
    return list(range(largest + 1, largest + 1 + new - len(plan.seeds)))
