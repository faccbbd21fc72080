"""What the paper claims of defenses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.cases import PRESETS
from experiments.noise.study import MEANING
from experiments.outcomes import Point, points, share
from experiments.sparsification.study import CASES as SPARSIFIED
from experiments.verdict.judge import FEW, Claim, Finding, at, outcome, success_share
from vfl_jax.report import median_with_interval
from vfl_jax.statistics import interval

if TYPE_CHECKING:
    import xarray as xr

SPARED = 0.01
"""A defense does not hurt where it costs the honest run no more main accuracy than this, in the median."""
LOUD = 0.05
"""The noise level that the paper names."""


def _main(part: xr.Dataset) -> xr.DataArray:
    return part["main_task_accuracy"].isel(epoch=-1)


def _fails(dataset: xr.Dataset) -> Finding:
    point = at(dataset)
    return Finding(1 - success_share(point), outcome(point))


def _succeeds(dataset: xr.Dataset) -> Finding:
    point = at(dataset)
    return Finding(success_share(point), outcome(point))


def _cost(point: Point, undefended: Point) -> xr.DataArray:
    """What a defense costs the honest run, paired by seed."""
    return _main(undefended.honest) - _main(point.honest)


def _noise_blocks(dataset: xr.Dataset) -> Finding:
    """Above the paper's level seeds that succeed without noise no longer do."""
    (setting,) = _settings(dataset)
    found = list(points(dataset))
    without = next(point for point in found if point.number(setting) == 0)
    loud = [point for point in found if point.number(setting) > LOUD]
    blocked = success_share(without) > FEW and all(success_share(point) <= FEW for point in loud)
    lines = [f"{point.number(setting):g}: {outcome(point)}" for point in (without, *loud)]
    return Finding(float(blocked), "; at ".join(lines))


def _noise_hurts(dataset: xr.Dataset) -> Finding:
    (setting,) = _settings(dataset)
    without, loud = (next(p for p in points(dataset) if p.number(setting) == level) for level in (0, LOUD))
    cost = _cost(loud, without)
    return Finding(float(interval(cost)[0] > SPARED), f"it costs the honest run {median_with_interval(cost)}")


def _settings(dataset: xr.Dataset) -> list[str]:
    """The swept numbers of a defense."""
    return [str(name) for name in dataset.coords if str(name).startswith("defense.")]


def _sparing(dataset: xr.Dataset) -> Finding:
    """Some setting of a sweep blocks the backdoor and spares the main task."""
    found = list(points(dataset))
    settings = _settings(dataset)
    neutral = min(found, key=lambda point: tuple(abs(point.number(name)) for name in settings))
    if success_share(neutral) <= FEW:
        return Finding(0.0, f"there is nothing to block: {outcome(neutral)}")

    def describe(point: Point) -> str:
        setting = ", ".join(f"{name.rpartition('.')[2]} {point.number(name):g}" for name in settings)
        return (
            f"{setting}: {share(point.counted.is_success.isel(epoch=-1))} succeed, the honest run loses "
            f"{median_with_interval(_cost(point, neutral))}"
        )

    sparing = [p for p in found if float(_cost(p, neutral).median()) <= SPARED]
    best = min(sparing, key=success_share)
    is_blocked = success_share(best) <= FEW
    others = [p for p in found if success_share(p) <= FEW]
    cheapest = min(others, key=lambda point: float(_cost(point, neutral).median())) if others else None
    lines = [
        f"undefended {share(neutral.counted.is_success.isel(epoch=-1))} succeed",
        f"best that spares: {describe(best)}",
    ]
    if not is_blocked:
        lines.append(f"cheapest that blocks: {describe(cheapest)}" if cheapest is not None else "none blocks")
    return Finding(float(is_blocked), "; ".join(lines))


def _clipping_weaker(clipped: xr.Dataset, noisy: xr.Dataset) -> Finding:
    """The smallest share of successes that each reaches while it spares the main task."""

    def least(dataset: xr.Dataset, neutral: Point) -> float:
        return min(success_share(p) for p in points(dataset) if float(_cost(p, neutral).median()) <= SPARED)

    by_clipping = least(clipped, next(p for p in points(clipped) if p.number("defense.bound") == float("inf")))
    by_noise = least(noisy, at(noisy, stddev=0))
    return Finding(
        float(by_noise < by_clipping),
        f"of what costs at most {SPARED}, clipping leaves {by_clipping:.0%} of seeds successful, noise {by_noise:.0%}",
    )


def _leaks_fewer(trainable: xr.Dataset, fixed: xr.Dataset) -> Finding:
    name = "label_inference_accuracy"
    inferred = [at(dataset).honest[name].isel(epoch=-1) for dataset in (trainable, fixed)]
    fewer = inferred[1] - inferred[0]
    return Finding(
        float(interval(fewer)[0] > 0),
        f"labels read {median_with_interval(inferred[0])}, under the sum head {median_with_interval(inferred[1])}",
    )


CLAIMS = (
    Claim(
        "Figure 5",
        "On MNIST the backdoor fails under a trainable active party",
        "trainable head, γ = 10",
        {preset: (f"head/{preset}_mnist",) for preset in PRESETS},
        _fails,
    ),
    Claim(
        "Figure 5",
        "On NUS-WIDE it succeeds under a trainable active party",
        "trainable head, γ = 10",
        {preset: (f"head/{preset}_nus_wide",) for preset in PRESETS},
        _succeeds,
    ),
    Claim(
        "section 8",
        "A trainable active party alleviates the leakage of label information",
        "an honest party that listens, both heads, embeddings of one output per class",
        {t: (f"in_passing/labels_{t}_trainable", f"in_passing/labels_{t}_sum") for t in ("mnist", "nus_wide")},
        _leaks_fewer,
    ),
    *(
        Claim(
            "Figure 6",
            text,
            "NUS-WIDE, trainable head, γ = 10; the level as the published run and as the text mean it",
            {f"{kind}, as {meaning}": (f"noise/{preset}_{kind}",) for (preset, kind), meaning in MEANING.items()},
            look,
        )
        for text, look in (
            (f"Noise above {LOUD} obviously alleviates the backdoor", _noise_blocks),
            (f"Noise of {LOUD} hurts the accuracy of the main task", _noise_hurts),
        )
    ),
    Claim(
        "section 6.3",
        "Clipping is not as effective as noise",
        "NUS-WIDE, trainable head, γ = 10: the bound of every row's norm alone, and Gaussian noise alone",
        {"nus_wide": ("in_passing/clipping_nus_wide_trainable", "noise/liu2020_code_gaussian")},
        _clipping_weaker,
    ),
    Claim(
        "Figure 7",
        "Gradient sparsification mitigates the backdoor without hurting the main task",
        f"drop rates up to 0.999, γ = 10; mitigated: at most {FEW:.0%} of seeds succeed; not hurt: the honest run "
        f"loses at most {SPARED} in the median",
        {case.title: (f"sparsification/{case.name}",) for case in SPARSIFIED},
        _sparing,
    ),
    Claim(
        "abstract, section 2",
        "A combination of these defenses blocks the backdoor without hurting the main task",
        "NUS-WIDE, head × sparsification × Gaussian noise, γ = 10, judged as sparsification is",
        {f"{head} head": (f"combination/{head}",) for head in ("trainable", "sum")},
        _sparing,
    ),
)
