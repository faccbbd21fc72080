"""The check of a method: everything that all methods promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vfl_jax.core.record import from_json, numbers
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.protocol.methods import methods
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.scenario import Scenario
from vfl_jax.testing.bench import Bench, benches, own_bench
from vfl_jax.testing.checked import Checked
from vfl_jax.testing.experiments import Run, check_flow, check_neutral, check_sweep
from vfl_jax.testing.failures import CheckFailed
from vfl_jax.testing.together import remarks
from vfl_jax.testing.watching import Watch


def check_method(
    method: Any,
    *,
    neutral: Mapping[str, float] | None = None,
    other: Mapping[str, float] | None = None,
    scenario: Scenario | None = None,
    data: VerticalData | None = None,
    party: int | None = None,
    runs: bool = True,
) -> Checked:
    """Checks an attack or a defense, of a party or of the active party, for what all methods promise.

    * Source: no function that the hooks reach holds an array (in a closure, a default, a global, a class), reads a
      frame, loads data, or sets what lies outside its state.
    * JSON: the method is what its JSON says, and every number is in it.
    * Hooks: each runs when it is compiled and mapped, keeps the form of what it got, is the same program at every call,
      and changes nothing outside its result. The functions of views hold nothing of others.
    * Neutrality: an attack with ``enabled`` 0, or a method with the numbers in ``neutral``, gives the honest run to the
      bit: parameters, optimizer states, messages and logits.
    * Grids: a grid of every number gives the runs of its points.
    * Flow: with the messages held fixed, nothing that a party's method does changes with the labels or with features of
      others; nothing that the active party's method does changes with features of others, and no answer at inference
      with the test labels.

    One run has an epoch of few steps, time between epochs before and after it, and an evaluation. The check takes
    seconds, most of them in the compiler, and leaves the class as it was; one process checks one method at a time.

    Python cannot prevent every leak. A hook may find by a name made at run time what these checks look for by name;
    the experiments then show it, unless what it finds acts in runs of another size or time alone. A traced array holds
    its trace, and so all that was traced. ``ctypes``, an extension in C, another thread or a patched package read the
    memory of the process. And a static field of numbers may hold labels: every reader of the scenario's JSON sees them.

    Args:
      method: the method, or its class, which is called without arguments.
      neutral: the numbers that change nothing, by path, such as ``{"bound": math.inf}``; an attack's switch needs none.
        By default those that the class of a defense says itself; without any it is not checked for neutrality.
      other: a second value of numbers, by path, where halves and small numbers are refused.
      scenario: the scenario in which the method is checked, with ``data``; its methods are left out. By default there
        are scenarios of this package, with two and three parties.
      data: the data set; by default a tiny table.
      party: the number of the party whose method it is; by default the scenario's first attacker.
      runs: whether whole runs are compiled, too; without them neutrality, grids and flow are not checked, and the check
        takes a fraction of a second.

    Returns:
      what was checked, what was not and why, and remarks: a hook that leaves every test row as it is where it sees the
      row alone, and not where it sees rows together, probably needs an ``inference_batch``.

    Raises:
      CheckFailed: naming the method, the hook where one is known, what was found, and what to do; an AssertionError.
      ValueError: where ``method`` is no method, only one of ``scenario`` and ``data`` is given, or ``neutral`` or
        ``other`` names no number of the method.

    Example:
      >>> import jax
      >>> import vfl_jax as vfl
      >>> class Scaling(vfl.ActiveTransform):
      ...     factor: float = 0.5
      ...     def on_send(self, key, state, view, gradients):
      ...         return tuple(self.factor * gradient[:4] for gradient in gradients), state
      >>> vfl.testing.check_method(Scaling, neutral={"factor": 1.0})  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ...
      vfl_jax.testing.failures.CheckFailed: Scaling.on_send returns (float32[4, 3], float32[4, 3]); it must keep ...
    """
    method = method() if isinstance(method, type) else method
    if not isinstance(method, PartyTransform | ActiveTransform):
        raise ValueError(f"method is {method!r}; it must derive from vfl_jax.PartyTransform or vfl_jax.ActiveTransform")
    if (scenario is None) != (data is None):
        raise ValueError("scenario and data belong together; give both, or none.")
    neutral = getattr(method, "neutral", None) if neutral is None else neutral
    for argument, given in (("neutral", neutral), ("other", other)):
        for path in given or {}:
            if path not in numbers(method):
                raise ValueError(
                    f"{argument} names {path!r}, no number of {type(method).__name__}; there are "
                    f"{', '.join(numbers(method)) or 'none'}."
                )
    _check_json(method)
    given = benches() if scenario is None or data is None else (own_bench(scenario, data, party),)
    (first, *others), refusals = _accepting(method, given)
    skipped = [f"{len(refusals)} of {len(given)} scenarios: {' '.join(dict.fromkeys(refusals))}"] if refusals else []
    for bench in reversed(others if runs else [first, *others]):  # tracing is enough for the hooks
        Run(bench, method, _watch(bench, method)).trace(bench.numbers(method), bench.inputs)
    passed = ["source", "JSON", "hooks"]
    if not runs:
        skipped.append("flow, neutrality, grids: runs=False compiles no whole run.")
        return Checked(type(method).__name__, tuple(passed), tuple(skipped))
    watch = _watch(first, method)  # one place shows what whole runs do
    run = Run(first, method, watch)
    outcome = check_flow(first, method, run)
    passed.append("flow")
    if check_neutral(first, method, run, neutral or {}):
        passed.append("neutrality")
    else:
        skipped.append("neutrality: no neutral numbers are known; give neutral=, or say them in the class.")
    if check_sweep(first, method, run, watch, other or {}):
        passed.append("grids")
    else:
        skipped.append("grids: it has no numbers to sweep.")
    return Checked(type(method).__name__, tuple(passed), tuple(skipped), remarks(first, method, outcome.state))


def _watch(bench: Bench, method: Any) -> Watch:
    """Returns the watch over a method's hooks on a bench."""
    if isinstance(method, PartyTransform):
        return Watch(method, tuple(k for k in range(len(bench.shapes.widths)) if k != bench.party), False)
    return Watch(method, bench.shapes.crossing, True)


def _accepting(method: Any, places: tuple[Bench, ...]) -> tuple[list[Bench], list[str]]:
    """Returns (the benches that a method accepts, why it refuses the others)."""
    refusals = {bench: bench.refusal(method) for bench in places}
    accepting = [bench for bench, reason in refusals.items() if reason is None]
    if not accepting:
        raise CheckFailed(
            "hook",
            f"{type(method).__name__}.check",
            f"refuses every scenario: {'; '.join(str(reason) for reason in refusals.values())} Give scenario= and "
            "data= that it accepts.",
        )
    return accepting, [reason for reason in refusals.values() if reason is not None]


def _check_json(method: Any) -> None:
    """Checks that a method is what its JSON says."""
    name = type(method).__name__
    back = from_json(method.to_json())
    if type(back) is not type(method) or back != method or numbers(back) != numbers(method):
        raise CheckFailed(
            "json", name, f"is not what its JSON says: {method.to_json()} gives {back!r}. Every field must be in it."
        )
    if hidden := [key for part in methods(method) for key in vars(part) if key not in type(part).__dataclass_fields__]:
        raise CheckFailed("json", name, f"has {', '.join(hidden)}, which is no field: JSON and grids lose it.")
