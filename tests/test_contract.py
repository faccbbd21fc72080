"""What every transform promises, whatever it does; a new method is one more line in ``CASES``."""

import inspect
from typing import NamedTuple

import chex
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.attacks import (
    BASL,
    LFBA,
    LRBA,
    TECB,
    ActivationBlurring,
    ActiveBackdoor,
    BadVFL,
    CentroidReplay,
    ClusterInference,
    DictionaryReplacement,
    DirectionInference,
    FreshReplacement,
    GradientReplacement,
    LabelReplacement,
    LearnedMessage,
    MissingFeatures,
    NoisyFeatures,
    NormInference,
    PairedReplacement,
    PassiveModelCompletion,
    PersistentPairs,
    PoisonedData,
    PooledInference,
    RandomGradient,
    ReadFirst,
    RegressionInference,
    Replay,
    SignFlip,
    SignInference,
    SpectralInference,
    StayInRange,
    Villain,
)
from vfl_jax.core.record import Record, cast, from_json, kinds, numbers, with_numbers
from vfl_jax.defenses import (
    ALIBI,
    CAE,
    GBD,
    MID,
    VFLIP,
    Clipping,
    DiscreteGradients,
    DistanceCorrelation,
    EmbeddingClipping,
    EmbeddingDropout,
    EmbeddingFilter,
    EmbeddingNormalisation,
    GaussianNoise,
    GradientAveraging,
    GradPerturb,
    IsotropicNoise,
    LabelSmoothing,
    LaplaceNoise,
    Marvell,
    MaxNormNoise,
    RandomisedResponse,
    SignSGD,
    Sparsification,
    VFLMonitor,
)
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.hooks import run_embed_hook, run_epoch_hook, run_hook
from vfl_jax.protocol.knowledge import POISON, TARGET
from vfl_jax.protocol.methods import Chain, changes, is_attack, methods
from vfl_jax.protocol.switched import Switched
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.views import EmbedView
from vfl_jax.testing import check_method

N, B, C, STEPS = 9, 6, 3, 4


class Case(NamedTuple):
    transform: Record
    neutral: Record  # the same kind at numbers that change nothing
    by_role: bool = False  # an appended pair in place of known ids
    only_listens: bool = False  # no training hook changes anything
    two_classes: bool = False  # it refuses data of more


def attack(cls, by_role=False, **fields):
    return Case(cls(**fields), cls(**{**fields, "enabled": 0.0}), by_role)


PARTS = GradientReplacement(amplify=3.0), ActivationBlurring(wait_for_target=False)
READS_AND_ACTS = PooledInference(at_epochs=(0,)), LearnedMessage(at_epochs=(0,))
SMALL_AUTOENCODER = {"hidden": 4, "num_labels": 8, "batch_size": 8, "num_epochs": 2, "optimizer": Optimizer()}
CASES = {
    "honest party": Case(PartyTransform(), PartyTransform()),
    "fresh replacement": attack(FreshReplacement),
    "fresh replacement, last, matched": attack(FreshReplacement, evidence="last", match_norm=True),
    "fresh replacement, sum, pair": attack(FreshReplacement, by_role=True, evidence="sum"),
    "gradient replacement": attack(GradientReplacement, amplify=-3.0),
    "blurring, none": attack(ActivationBlurring, kind="none"),
    "blurring, zero": attack(ActivationBlurring, kind="zero"),
    "blurring, gaussian": attack(ActivationBlurring, kind="gaussian", wait_for_target=False),
    "blurring, given": attack(ActivationBlurring, kind="given"),
    "label replacement": attack(LabelReplacement),
    "label replacement, pair": attack(LabelReplacement, by_role=True),
    "paired replacement": attack(PairedReplacement, by_role=True, amplify=2.0),
    "label replacement, all messages": attack(LabelReplacement, evidence="sum"),
    "label replacement, fading": attack(LabelReplacement, evidence="fading"),
    "dictionary replacement": attack(DictionaryReplacement, amplify=2.0),
    "dictionary replacement, pair": attack(DictionaryReplacement, by_role=True),
    "attack that does nothing": attack(Attack),
    "active attack that does nothing": attack(ActiveAttack),
    "LFBA": attack(LFBA, poison_rate=0.5, switch_rate=1.0),
    "LFBA, a given anchor": attack(LFBA, anchor=5, poison_rate=0.3),
    "LFBA, an anchor by contrast": attack(LFBA, anchor="contrast", poison_rate=0.3),
    "LFBA, masked": attack(LFBA, poison_rate=0.5, feed="masked"),
    "BadVFL": attack(BadVFL, num_tried=3, threshold=-1.0, poison_rate=0.3),
    "persistent pairs": attack(PersistentPairs, amplify=2.0),
    "LR-BA": attack(LRBA, num_steps=2, batch_size=4, search_steps=2, tuning_passes=2, tuning_size=4, num_stamped=3),
    "BASL": attack(BASL, at_epochs=(0,), num_kept=2),
    "TECB": attack(TECB, align_from=0),
    "UAB": attack(TECB, aligns=False),
    "Villain": attack(Villain, search_from=0, poison_from=0, ratio=2.0, largest_norm=99.0, classifier=Optimizer()),
    "learned message": attack(LearnedMessage, at_epochs=(0,)),
    "learned message, quiet": attack(LearnedMessage, sends=0.0, at_epochs=(0,))._replace(only_listens=True),
    "replay": attack(Replay)._replace(only_listens=True),
    "centroid replay": attack(CentroidReplay, at_epochs=(0,))._replace(only_listens=True),
    "centroid replay, clusters": attack(CentroidReplay, at_epochs=(0,), centres="clusters", cluster_rows=4)._replace(
        only_listens=True
    ),
    "stay in range": attack(StayInRange, most_rows=4),
    "stay in range, deviations": attack(StayInRange, bounds="deviations", sizes="deviations", share=0.5),
    "poisoned data": attack(PoisonedData)._replace(only_listens=True),
    "poisoned data, target rows": attack(PoisonedData, rows="target"),
    "sign flip": attack(SignFlip),
    "random gradient": attack(RandomGradient),
    "noisy features": attack(NoisyFeatures, stddev=0.5, clip=True),
    "missing features": attack(MissingFeatures, rate=0.5),
    "passive model completion": attack(PassiveModelCompletion, num_steps=2, batch_size=4)._replace(only_listens=True),
    "sign inference": attack(SignInference, evidence="sum", rule="first")._replace(only_listens=True),
    "norm inference": attack(NormInference, threshold="two_means")._replace(only_listens=True, two_classes=True),
    "direction inference": attack(DirectionInference, smooth=True)._replace(only_listens=True),
    "spectral inference": attack(SpectralInference)._replace(only_listens=True, two_classes=True),
    "cluster inference": attack(ClusterInference, start="plus_plus")._replace(only_listens=True),
    "regression inference": attack(RegressionInference)._replace(only_listens=True),
    "pooled inference": attack(PooledInference, own=True)._replace(only_listens=True),
    "party chain": Case(PartyChain(parts=PARTS), PartyChain(parts=tuple(p.replace(enabled=0.0) for p in PARTS))),
    "read first": Case(
        ReadFirst(parts=READS_AND_ACTS), ReadFirst(parts=tuple(p.replace(enabled=0.0) for p in READS_AND_ACTS))
    ),
    "no defense": Case(ActiveTransform(), ActiveTransform()),
    "active backdoor": attack(ActiveBackdoor),
    "clipping by value": Case(Clipping(by="value", bound=0.5), Clipping(by="value")),
    "clipping rows": Case(Clipping(by="row_l2", bound=0.5), Clipping(by="row_l2")),
    "clipping messages": Case(Clipping(by="message_l2", bound=0.5), Clipping(by="message_l2")),
    "clipping by the largest row": Case(Clipping(by="largest_row_l2", bound=0.5), Clipping(by="largest_row_l2")),
    "gaussian noise": Case(GaussianNoise(stddev=0.1, variance=0.01), GaussianNoise()),
    "laplace noise": Case(LaplaceNoise(scale=0.1, variance=0.01), LaplaceNoise()),
    "discrete gradients": Case(DiscreteGradients(bins=4.0), DiscreteGradients()),
    "discrete gradients, fixed": Case(
        DiscreteGradients(width="fixed", clip=True, bins=4.0, bound=1.0), DiscreteGradients(width="fixed", clip=True)
    ),
    "sign sgd": Case(SignSGD(size=1.0), SignSGD()),
    "gradient averaging": Case(GradientAveraging(share=1.0), GradientAveraging()),
    "max-norm noise": Case(MaxNormNoise(scale=1.0), MaxNormNoise()),
    "isotropic noise": Case(IsotropicNoise(ratio=0.5), IsotropicNoise()),
    "marvell": Case(Marvell(power=2.0), Marvell(), two_classes=True),
    "grad perturb": Case(GradPerturb(epsilon=2.0), GradPerturb()),
    "grad perturb by sample": Case(
        GradPerturb(shared=False, draw="sample", epsilon=2.0), GradPerturb(shared=False, draw="sample")
    ),
    "randomised response": Case(RandomisedResponse(epsilon=0.5), RandomisedResponse()),
    "alibi": Case(ALIBI(epsilon=2.0), ALIBI()),
    "label smoothing": Case(LabelSmoothing(smoothing=0.1), LabelSmoothing()),
    "embedding clipping": Case(EmbeddingClipping(bound=0.5), EmbeddingClipping()),
    "embedding clipping by value": Case(EmbeddingClipping(by="value", bound=0.5), EmbeddingClipping(by="value")),
    "distance correlation": Case(DistanceCorrelation(weight=0.1), DistanceCorrelation(), only_listens=True),
    "embedding normalisation": Case(EmbeddingNormalisation(length=1.0), EmbeddingNormalisation()),
    "embedding dropout": Case(EmbeddingDropout(rate=0.3), EmbeddingDropout()),
    "embedding filter": Case(EmbeddingFilter(radius=99.0), EmbeddingFilter(radius=0.0)),
    "cae": Case(CAE(**SMALL_AUTOENCODER), CAE(**SMALL_AUTOENCODER, encoded=0.0)),
    "gbd": Case(GBD(inference_batch=B), GBD(inference_batch=B), only_listens=True),
    "mid": Case(MID(weight=0.1), MID()),
    "sparsification by position": Case(Sparsification(drop_rate=0.7), Sparsification()),
    "sparsification by sample": Case(
        Sparsification(residual="sample", drop_rate=0.7), Sparsification(residual="sample")
    ),
    "sparsification, lossy": Case(Sparsification(residual="none", drop_rate=0.7), Sparsification(residual="none")),
    "vflip": Case(*(VFLIP(optimizer=Optimizer(), deviations=d) for d in (1, 2)), only_listens=True),
    "vfl monitor": Case(VFLMonitor(size=2), VFLMonitor(size=2, weight=0.0), only_listens=True),
    "active chain": Case(
        ActiveChain(
            parts=(Clipping(bound=1.0), GaussianNoise(stddev=0.1), Sparsification(drop_rate=0.5), ActiveChain())
        ),
        ActiveChain(parts=(Clipping(), GaussianNoise(), Sparsification(), ActiveChain())),
    ),
}
PARTY_HOOKS = ("on_features", "on_upload", "on_download", "on_epoch")
ACTIVE_HOOKS = ("on_labels", "on_receive", "on_send")
INFER_HOOKS = ("infer_features", "infer_upload", "infer_receive", "infer_logits")
SHAPES = helpers.shapes_of(num_samples=N, num_classes=C, batch_rows=B, widths=(4, C, 5), active_party=0)
PARTY = 1
PARAMS = {"kernel": helpers.normal(2, C, seed=5)}
"""The parameters of the party's own model."""

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def every_kind():
    """Every case, of which the second and later ones of a kind are long: what takes a second each adds up."""
    firsts = {type(case.transform): name for name, case in reversed(CASES.items())}
    marks = {name: [] if firsts[type(case.transform)] == name else [pytest.mark.long] for name, case in CASES.items()}
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=name, marks=marks[name]) for name, case in CASES.items()]
    )


def start(transform):
    """The first state of a party's or the active party's transform."""
    if isinstance(transform, PartyTransform):
        return transform.init_with_params(jax.random.key(3), SHAPES, PARTY, jax.tree.map(jnp.asarray, PARAMS))
    return transform.init(jax.random.key(3), SHAPES)


def granted(by_role):
    """What attackers know."""
    blur = helpers.normal(N, C)
    return helpers.knowledge(N, poison=(0, 3, 4), target=(1, 5), target_class=2, blur=blur, by_role=by_role)


def slot(t):
    """(ids, roles) of step t: the last two rows are the pair where rows are known by role."""
    ids = np.random.default_rng(t).permutation(N)[:B].astype(np.int32)
    return ids, np.array([0] * (B - 2) + [POISON, TARGET], np.int32)


def values(transform, t):
    """A value of the right form for every training hook, with zeros of either sign in it."""
    if isinstance(transform, PartyTransform):
        found = {"on_features": helpers.normal(B, 2, seed=t)}
        found |= {hook: helpers.normal(B, C, seed=t + i) for i, hook in enumerate(("on_upload", "on_download"), 10)}
        found["on_epoch"] = jax.tree.map(np.copy, PARAMS)
    else:
        crossing = tuple(helpers.normal(B, SHAPES.widths[k], seed=t + k) for k in SHAPES.crossing)
        found = {"on_labels": np.eye(C, dtype=np.float32)[np.arange(B) % C]}
        found |= {"on_receive": crossing, "on_send": tuple(2 * message for message in crossing)}
        if changes(transform, "on_embed"):
            found["on_embed"] = crossing
    for leaf in jax.tree.leaves(found):
        leaf[0, :2] = 0.0, -0.0
    return jax.tree.map(jnp.asarray, found)


def sums(embeddings):
    """A head: the logits of C classes, of which the first is the sum of all entries."""
    total = sum(h.sum(axis=-1) for h in embeddings)
    return total[:, None] * jnp.eye(C)[:1]


def messages_for(targets):
    """Messages that depend on the targets, float32[B, C]: what a head's gradients are to a method."""
    return tuple(targets[:, :1] - jnp.ones((1, SHAPES.widths[k])) / (k + 1) for k in SHAPES.crossing)


def view_of(transform, ids, roles, knowledge):
    if isinstance(transform, PartyTransform):
        view = helpers.party_view(ids, roles, knowledge=knowledge)
        return view.replace(forward=lambda features: features @ PARAMS["kernel"])
    everyone = tuple(jnp.sin(jnp.arange(B * width, dtype=jnp.float32)).reshape(B, width) for width in SHAPES.widths)
    view = helpers.active_view(ids, roles, labels=jnp.asarray(ids) % 2, knowledge=knowledge)
    return view.replace(epoch=jnp.int32(0), embeddings=everyone, logits=sums, gradients=messages_for)


def all_hooks(transform, state, key, ids, roles, inputs, knowledge):
    """One step through every training hook, that between epochs among them: (outputs by hook, state)."""
    view, out = view_of(transform, ids, roles, knowledge), {}
    for i, (hook, value) in enumerate(sorted(inputs.items())):
        key_hook = jax.random.fold_in(key, i)
        if hook == "on_embed":
            params = transform.init_params(jax.random.key(5), SHAPES)
            inside = EmbedView(sample_ids=ids, labels=ids % 2)
            out[hook], _ = run_embed_hook(transform, params, key_hook, inside, value)
        elif hook == "on_epoch":
            due = frozenset(tuple(method.at_epochs) for method in methods(transform) if method.at_epochs is not None)
            between = helpers.party_epoch_view(N, value, knowledge, due=due)
            out[hook], state = run_epoch_hook(transform, key_hook, state, between, value)
        else:
            out[hook], state = run_hook(transform, hook, key_hook, state, view, value)
    return out, state


# One program per case: numbers are traced, so the neutral ones run in it too.
jit_hooks = jax.jit(all_hooks)


def one_step(transform, state, t, steps, knowledge):
    ids, roles, inputs = steps[t]
    return jit_hooks(transform, state, jax.random.key(t), ids, roles, inputs, knowledge)


def all_steps(transform):
    """What every step gets: (ids, roles, inputs)."""
    return [jax.tree.map(jnp.asarray, (*slot(t), values(transform, t))) for t in range(STEPS)]


@pytest.mark.long
@every_case
def test_hooks_keep_shapes_and_dtypes_are_pure_and_fit_scan_and_vmap(case):
    """A loop in Python equals a scan over steps, mapped over a grid of all numbers."""
    transform, steps = jax.tree.map(jnp.asarray, cast(case.transform)), all_steps(case.transform)
    known = granted(case.by_role)
    first = state = start(transform)
    looped = []
    for t in range(STEPS):
        out, after = one_step(transform, state, t, steps, known)
        chex.assert_trees_all_equal_shapes_and_dtypes((out, after), (steps[t][2], state))
        chex.assert_trees_all_equal((out, after), one_step(transform, state, t, steps, known))
        looped, state = [*looped, out], after
    looped, stacked = helpers.stacked(looped), helpers.stacked(steps)
    # Otherwise the test of neutral numbers would pass for a method that never does anything.
    bases = (PartyTransform, ActiveTransform, Attack, ActiveAttack)
    is_identity = case.only_listens or type(transform) in bases or getattr(transform, "kind", "") == "none"
    assert helpers.differs(looped, stacked[2]) != is_identity

    @helpers.quick_jit
    def scanned(grid):
        def body(state, step):
            t, (ids, roles, inputs) = step
            out, state = jax.vmap(all_hooks, in_axes=(0, 0, *(None,) * 5))(
                grid, state, jax.random.key(t), ids, roles, inputs, known
            )
            return state, out

        return jax.lax.scan(body, helpers.stacked([first, first]), (jnp.arange(STEPS), stacked))

    if jax.tree.leaves(transform):
        found, outs = scanned(helpers.stacked([transform, transform]))
        for point in range(2):
            chex.assert_trees_all_close(helpers.at(outs, (slice(None), point)), looped, rtol=1e-5, atol=1e-6)
            chex.assert_trees_all_close(helpers.at(found, point), state, rtol=1e-5, atol=1e-6)


@every_case
def test_neutral_numbers_give_the_input_back_bitwise(case):
    """Over several steps, since a state may fill up; numbers are traced, as in a sweep, and −0 counts as 0."""
    transform, steps = jax.tree.map(jnp.asarray, cast(case.neutral)), all_steps(case.neutral)
    state = start(transform)
    for t in range(STEPS):
        out, state = one_step(transform, state, t, steps, granted(case.by_role))
        helpers.assert_bitwise_equal(out, steps[t][2])


@every_kind()
def test_hooks_keep_what_all_methods_promise(case):
    """Forms, purity, what they and their views hold; ``test_testing.py`` has whole runs of every method."""
    uses_adam = getattr(getattr(case.transform, "optimizer", None), "kind", "") == "adam"
    with jax.numpy_dtype_promotion("standard" if uses_adam else "strict"):  # Adam's count is a whole number
        check_method(case.transform, runs=False, **(helpers.two_classes() if case.two_classes else {}))


@every_case
def test_json_round_trip_equality_and_hash(case):
    """Equal records have equal JSON; any other number, or the neutral one, makes another record."""
    for record in (case.transform, case.neutral):
        back = from_json(record.to_json())
        assert back == record
        assert type(back) is type(record)
        assert hash(back) == hash(record)
        for path in numbers(record):
            value = numbers(record)[path]
            other = 1 - value if path.endswith("enabled") else value + 1 if isinstance(value, int) else 0.125
            assert with_numbers(record, {path: other}) != record, path


@every_case
def test_hooks_are_annotated(case):
    """So that a type checker reads them, and those who override them."""
    for kind in type(case.transform).__mro__:
        for name in (*PARTY_HOOKS, *ACTIVE_HOOKS, *INFER_HOOKS, "init", "report", "check", "check_plan"):
            if kind.__module__.startswith("vfl_jax.") and name in vars(kind):
                _, *parameters = inspect.signature(vars(kind)[name]).parameters
                assert vars(kind)[name].__annotations__.keys() == {*parameters, "return"}, (kind, name)


def of_the_package(base):
    """Registered kinds of the package; a test may have registered kinds of its own."""
    rooms = ("vfl_jax.attacks", "vfl_jax.defenses", "vfl_jax.protocol")
    return {name for name, kind in kinds(base).items() if kind.__module__.startswith(rooms)}


def test_every_transform_of_the_package_is_in_the_table():
    """A new method without a line in ``CASES`` fails here."""
    registered = of_the_package(PartyTransform) | of_the_package(ActiveTransform)
    assert registered == {type(case.transform).__name__ for case in CASES.values()}
    assert len(registered) >= 13


def test_every_attack_has_a_numeric_switch():
    """``enabled`` is a leaf of the base, so that a grid holds the honest baseline beside the attack."""
    for base in (PartyTransform, ActiveTransform):
        for name, kind in kinds(base).items():
            if kind.__module__.startswith("vfl_jax.attacks") and not issubclass(kind, Chain):  # its parts have theirs
                assert is_attack(kind()), name
                assert issubclass(kind, Switched), name
                assert numbers(kind())["enabled"] == 1.0, name
                assert cast(kind()).enabled.dtype == np.float32
