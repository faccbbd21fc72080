"""Everything that is drawn follows the law that is stated, and a scale or share 1.1 times as large is told.

A law is refused below a chance of 1 in 1,000 (Kolmogorov-Smirnov, for whole numbers χ²), a correlation beyond 4.5 of
its deviations (1 in 147,000). Seeds are fixed, so nothing here fails by chance; of fresh seeds about 1 in 20 would
refuse one of the right laws.
"""

import dis

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from noise_helpers import LAWS, OTHERWISE
from scipy import stats

from vfl_jax.core.record import cast, kinds
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform

LEAST_CHANCE = 1e-3
MOST_DEVIATIONS = 4.5
AXES = ("step", "party", "row", "entry")
PROGRAMS = {name: helpers.quick_jit(law.draws) for name, law in LAWS.items()}

every_law = pytest.mark.parametrize("name", LAWS)


def draws(name, method, seed=0):
    """The draws of a method, float64[S, P, B, E]."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # the table is no code of a user
        found = np.asarray(PROGRAMS[name](cast(method), jnp.int32(seed)), np.float64)
    assert found.ndim == 4
    return found


def distinct(found, alike):
    """Draws that are stated to be the same along some axes, once each."""
    return found[tuple(slice(0, 1) if axis in alike else slice(None) for axis in AXES)]


def chance(found, stated):
    """How likely draws at least so odd are under a law, in [0, 1]."""
    flat = found.ravel()
    assert len(flat) >= 15_000
    if isinstance(stated, list):
        counts = np.array([np.sum(flat == value) for value in range(len(stated))])
        if counts.sum() < len(flat):
            return 0.0  # a value that the law does not have
        return stats.chisquare(counts, len(flat) * np.array(stated)).pvalue
    if callable(getattr(stated, "cdf", None)):
        return stats.kstest(flat, stated.cdf).pvalue
    reference = stated(np.random.default_rng(0), 10 * len(flat))
    return stats.ks_2samp(flat.round(4), reference.round(4)).pvalue  # equal numbers, which rounding would part


def tied(found, again, alike):
    """What is correlated, by values or by sizes: axes along which neighbours are, and "seed"."""
    pairs = {"seed": (distinct(found, alike), distinct(again, alike))}
    for place, axis in enumerate(AXES):
        if axis not in alike and found.shape[place] > 1:
            once = np.moveaxis(distinct(found, set(alike) - {axis}), place, 0)
            pairs[axis] = once[:-1], once[1:]
    return {
        axis
        for axis, (one, other) in pairs.items()
        for of in (lambda x: x, lambda x: np.abs(x - found.mean()))
        if of(one).std() > 1e-6  # of two values as likely, all lie as far from their mean
        and abs(np.corrcoef(of(one).ravel(), of(other).ravel())[0, 1]) * np.sqrt(one.size) > MOST_DEVIATIONS
    }


@every_law
def test_draws_follow_the_stated_law(name):
    law = LAWS[name]
    found = draws(name, law.method)
    assert chance(distinct(found, law.alike), law.stated) > LEAST_CHANCE
    for axis in law.alike:
        place = AXES.index(axis)
        assert found.shape[place] > 1
        first = np.broadcast_to(found.take([0], axis=place), found.shape)
        np.testing.assert_allclose(found, first, rtol=1e-4, atol=1e-5)


@every_law
def test_another_scale_is_refused(name):
    """Where no number of the method sets it, the draws themselves are made larger, or the first value likelier."""
    law = LAWS[name]
    found, stated = draws(name, law.method if law.wrong is None else law.wrong), law.stated
    if law.wrong is None and isinstance(stated, list):
        stated = np.array([1.1, *[1.0] * (len(stated) - 1)]) * stated
        stated = list(stated / stated.sum())
    elif law.wrong is None:
        found = 1.1 * found
    assert chance(distinct(found, law.alike), stated) < LEAST_CHANCE


@every_law
def test_steps_parties_rows_entries_and_seeds_are_independent(name):
    law = LAWS[name]
    assert tied(draws(name, law.method), draws(name, law.method, seed=1), law.alike) == set()


@pytest.mark.parametrize("axis", [*AXES, "seed"])
@pytest.mark.parametrize("how", ["values", "sizes"])
def test_what_is_shared_is_found(axis, how):
    """One draw for two neighbours, or of one size with signs of their own."""
    rng = np.random.default_rng(0)
    found, again = rng.normal(size=(2, 16, 2, 64, 50))
    signs = 1 if how == "values" else rng.choice([-1, 1], found.shape)
    if axis == "seed":
        again = signs * found
    else:
        place = AXES.index(axis)
        found = signs * found.take(np.arange(found.shape[place]) // 2 * 2, axis=place)
    assert tied(found, again, ()) == {axis}


def takes_its_key(kind):
    """Whether a function of a class of methods reads its key; what hands the key on to readers alone is none."""
    functions = {
        f"{owner.__name__}.{name}": function
        for owner in kind.__mro__
        if owner.__module__.startswith(("vfl_jax.attacks", "vfl_jax.defenses"))
        for name, function in vars(owner).items()
        if hasattr(function, "__code__")
    }
    assert not any({"key", "PRNGKey"} & set(function.__code__.co_names) for function in functions.values())
    return any(
        step.opname.startswith("LOAD")
        and "key" in (step.argval if isinstance(step.argval, tuple) else (step.argval,))  # 3.13 loads two at once
        for name, function in functions.items()
        if name != "Reader.on_epoch"
        for step in dis.get_instructions(function)
    )


def test_every_method_that_draws_is_in_the_table():
    """A method that never reads the key of a hook cannot draw: the only other key is one that it makes itself."""
    every = {**kinds(PartyTransform), **kinds(ActiveTransform)}
    drawing = {
        name
        for name, kind in every.items()
        if kind.__module__.startswith(("vfl_jax.attacks", "vfl_jax.defenses")) and takes_its_key(kind)
    }
    listed = {name.partition(",")[0] for name in LAWS}
    assert drawing == listed | set(OTHERWISE), "Say in LAWS which law the draws follow, or in OTHERWISE what is drawn."
    assert not listed & set(OTHERWISE)
    assert {type(law.method).__name__ for law in LAWS.values()} == listed
