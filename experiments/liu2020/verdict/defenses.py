"""What the paper claims of defenses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from experiments.liu2020.noise.cases import MEANING
from experiments.liu2020.sparsification.cases import PUBLISHED, SWEPT, case_name
from experiments.liu2020.verdict.judge import Claim, Finding, outcome, succeeds
from experiments.shared.cases import GAMMA, PRESETS
from experiments.shared.defended import (
    FEW,
    SPARED,
    backdoors,
    blocks,
    change_of_main,
    has_nothing_to_stop,
    leaves_something,
    mitigates,
    spares,
)
from experiments.shared.outcomes import Point, at, line, points
from vfl_jax.reports import median_with_interval
from vfl_jax.statistics import interval

if TYPE_CHECKING:
    import xarray as xr

NEUTRAL = {"drop_rate": 0, "stddev": 0}
"""The numbers that leave the messages alone."""
LOUD = 0.05
"""The noise level that the paper names."""


def _fails(trainable: xr.Dataset, fixed: xr.Dataset) -> Finding:
    """There is something to fail where the sum head has a backdoor."""
    point, undefended = at(trainable), at(fixed, amplify=GAMMA)
    said = f"{outcome(point)}; under the sum head: {outcome(undefended)}"
    can_be_judged = leaves_something(point) and not has_nothing_to_stop(undefended)
    return Finding(1 - float(backdoors(point).mean()) if can_be_judged else None, said)


def _noise_alleviates(dataset: xr.Dataset) -> Finding:
    """Every level above the paper's mitigates a backdoor that is there without noise, if it leaves one to attack."""
    (setting,) = _settings(dataset)
    found = line(dataset, setting)
    loud = [level for level in found if level > LOUD]
    if has_nothing_to_stop(found[0]):
        return Finding(None, f"there is nothing to alleviate: {outcome(found[0])}")
    held = [mitigates(found[level], found[0]) for level in loud if leaves_something(found[level])]
    said = "; at ".join(f"{level:g}: {outcome(found[level])}" for level in (0, *loud))
    return Finding(float(all(held)) if held else None, said)


def _noise_hurts(dataset: xr.Dataset) -> Finding:
    (setting,) = _settings(dataset)
    found = line(dataset, setting)
    change = change_of_main(found[LOUD], found[0])
    return Finding(float(interval(change)[1] < -SPARED), _changed(change))


def _changed(change: xr.DataArray) -> str:
    return f"the honest run's accuracy changes by {median_with_interval(change)}"


def _settings(dataset: xr.Dataset) -> list[str]:
    """The swept numbers of a defense."""
    return [str(name) for name in dataset.coords if str(name).startswith("defense.")]


def _spares_and(stops: Callable[[Point, Point], bool]):
    """Looks whether some setting of a sweep stops the backdoor, in the claim's sense, and spares the main task."""

    def look(swept: xr.Dataset, with_undefended: xr.Dataset | None = None) -> Finding:
        settings = _settings(swept)
        undefended = next(
            point
            for point in points(swept if with_undefended is None else with_undefended)
            if all(point.number(name) == NEUTRAL[_last(name)] for name in settings)
        )
        found = list(points(swept, undefended.honest["main_task_accuracy"]))
        if has_nothing_to_stop(undefended):
            return Finding(None, f"there is nothing to stop: {outcome(undefended)}")

        def said(point: Point) -> str:
            numbers = ", ".join(f"{_last(name)} {point.number(name):g}" for name in settings)
            return f"{numbers}: {outcome(point)}; {_changed(change_of_main(point, undefended))}"

        stopping = [point for point in found if stops(point, undefended)]
        both = [point for point in stopping if spares(point, undefended)]
        if not stopping:
            return Finding(0.0, f"no setting does; undefended: {outcome(undefended)}")
        best = max(both or stopping, key=lambda point: float(change_of_main(point, undefended).median()))
        title = "does, and spares" if both else "the cheapest that does"
        return Finding(float(bool(both)), f"{title}: {said(best)}; undefended: {outcome(undefended)}")

    return look


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _clipping_weaker(clipped: xr.Dataset, noisy: xr.Dataset) -> Finding:
    """The cheapest bound that mitigates costs the honest runs more than such noise does, paired by seed."""
    undefended = line(clipped, "defense.bound")[math.inf]
    if has_nothing_to_stop(undefended):
        return Finding(None, f"there is nothing to stop: {outcome(undefended)}")
    bound, lost_to_bound = _cheapest(clipped, "defense.bound", math.inf)
    (noise,) = _settings(noisy)
    level, lost_to_noise = _cheapest(noisy, noise, 0.0)
    said = f"the cheapest that does: {bound}; {level}"
    if lost_to_bound is not None and lost_to_noise is not None:
        return Finding(float(interval(lost_to_noise - lost_to_bound)[0] > 0), said)
    neither = lost_to_bound is lost_to_noise
    return Finding(None if neither else float(lost_to_bound is None), said)


def _cheapest(dataset: xr.Dataset, path: str, neutral: float) -> tuple[str, xr.DataArray | None]:
    """Of the settings that mitigate the one that costs the honest runs least, in words, and what it changes there."""
    found = line(dataset, path)
    undefended = found[neutral]
    stopping = {v: p for v, p in found.items() if mitigates(p, undefended)}
    changes = {value: change_of_main(point, undefended) for value, point in stopping.items()}
    if not changes:
        return f"no {_last(path)}", None
    best = max(changes, key=lambda value: float(changes[value].median()))
    return f"{_last(path)} {best:g}: {outcome(found[best])}; {_changed(changes[best])}", changes[best]


def _sparsified(preset: str, task: str, head: str, residual: str) -> tuple[str, ...]:
    """A case, and the one that has drop rate 0 for it where it is another."""
    kinds = (residual,) if preset == "liu2020_paper" else dict.fromkeys((residual, PUBLISHED))
    return tuple(f"sparsification/{case_name(preset, task, head, kind)}" for kind in kinds)


CLAIMS = (
    Claim(
        "Figure 5",
        "On MNIST the backdoor fails under a trainable active party",
        "trainable head, γ = 10; there must be a backdoor under the sum head",
        {f"mnist, {preset}": (f"head/{preset}_mnist", f"gamma/{preset}_mnist") for preset in PRESETS},
        _fails,
        about=("mnist",),
    ),
    Claim(
        "Figure 5",
        "On NUS-WIDE it succeeds under a trainable active party",
        "trainable head, γ = 10",
        {f"nus_wide, {preset}": (f"head/{preset}_nus_wide",) for preset in PRESETS},
        succeeds(),
        about=("nus_wide",),
    ),
    *(
        Claim(
            "Figure 6",
            text,
            "trainable head, γ = 10; the level as the published run and as the text mean it",
            {
                f"nus_wide, {kind}, as {meaning}": (f"noise/{preset}_{kind}",)
                for (preset, kind), meaning in MEANING.items()
            },
            look,
            about=("nus_wide",),
        )
        for text, look in (
            (f"Noise above {LOUD} obviously alleviates the backdoor", _noise_alleviates),
            (f"Noise of {LOUD} hurts the accuracy of the main task", _noise_hurts),
        )
    ),
    Claim(
        "section 6.3",
        "Clipping is not as effective as noise",
        "trainable head, γ = 10: the bound of every row's norm alone, and Gaussian noise alone; of both the "
        "cheapest that mitigates; weaker: it costs the honest run more, paired by seed",
        {
            f"nus_wide, {preset}": (
                f"claims_without_a_figure/{preset}_clipping_nus_wide_trainable",
                f"noise/{preset}_gaussian",
            )
            for preset in PRESETS
        },
        _clipping_weaker,
    ),
    Claim(
        "Figure 7",
        "Gradient sparsification mitigates the backdoor without hurting the main task",
        "drop rates up to 0.999, γ = 10, of which one is enough; mitigated: at most half as many seeds have a "
        f"backdoor, at most half of the attack success; not hurt: the honest run loses at most {SPARED}",
        {f"{swept[1]}, {swept[2]} head, residual {swept[3]}, {swept[0]}": _sparsified(*swept) for swept in SWEPT},
        _spares_and(mitigates),
    ),
    Claim(
        "abstract, section 2",
        "A combination of these defenses blocks the backdoor without hurting the main task",
        "head × sparsification × Gaussian noise, and the trainable head with sparsification alone, which sections 7.3 "
        f"and 8 combine; γ = 10, of which one setting is enough; blocked: at most {FEW:.0%} of seeds have a backdoor, "
        "attack success is near its floor; not hurt: as above, beside the same head",
        {
            f"nus_wide, {head} head, {preset}": (f"combination/{preset}_{head}",)
            for preset in PRESETS
            for head in ("trainable", "sum")
        }
        | {
            f"{swept[1]}, trainable head with sparsification, residual {swept[3]}, {swept[0]}": _sparsified(*swept)
            for swept in SWEPT
            if swept[2] == "trainable"
        },
        _spares_and(lambda point, _: blocks(point)),
    ),
)
