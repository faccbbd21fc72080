"""What the tests of evaluation share: small scenarios, methods that answer, and metrics of a pass by plain counts."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.metrics import roc_auc_score

from vfl_jax import replica as replica_api
from vfl_jax.core.record import static
from vfl_jax.data import partition_table
from vfl_jax.models import Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.views import Suspicion
from vfl_jax.replica import inference
from vfl_jax.sweeps.sweep import run

HONEST = PartyTransform()
jit_infer = functools.partial(helpers.quick_jit, static_argnums=0)(inference.infer)


class Firing(Attack):
    """Test only: pushes the messages of the rows that it is to attack towards a class; trains honestly."""

    shift: float = 5.0
    towards: int = static(default=1)

    def infer_upload(self, key, state, view, embedding):
        push = jnp.arange(embedding.shape[-1]) == self.towards
        pushed = embedding + jnp.where(push, self.shift, 0.0)[None]
        return jnp.where(view.is_attacked[:, None], pushed, embedding)


class Watch(ActiveTransform):
    """Test only: a row is as suspicious as its message is long; of rows seen together, beside the mean of its batch."""

    bound: float = 1.0
    inference_batch: int | None = static(default=1)
    inference_order: str = static(default="file")

    def infer_suspicion(self, key, state, view, embeddings):
        score = jnp.stack([jnp.linalg.norm(e, axis=-1) for e in embeddings], axis=1)
        if self.inference_batch is not None and self.inference_batch > 1:
            weights = view.is_valid.astype(score.dtype)[:, None]
            score = score - (weights * score).sum(axis=0, keepdims=True) / jnp.maximum(weights.sum(), 1.0)
        return Suspicion(score=score, is_suspect=score.max(axis=1) > self.bound)


def scenario_of(attacks=(HONEST, HONEST), width=helpers.NUM_CLASSES, **fields):
    """Linear bottoms whose outputs are added up; row 1, of class 1, is known to the attackers."""
    optimizers = [Optimizer(learning_rate=0.1)] * len(attacks)
    fields = {"head": SumHead(), "poison_ids": (2, 3), "target_ids": (1,)} | fields
    fields["plan"] = {"target_class": 1} | fields.get("plan", {})
    return helpers.scenario_of([Linear(width=width)] * len(attacks), optimizers, attacks, **fields)


def two_classes(num_test=20):
    """A random table of 6 columns over two parties and of two classes, about a third of the rows of class 1."""
    rng = np.random.default_rng(3)
    splits = [(rng.normal(size=(n, 6)).astype("f4"), (rng.random(n) < 0.3).astype("i4")) for n in (48, num_test)]
    splits[0][1][:2] = 0, 1
    return partition_table("two", *splits, by=((0, 1, 2), (3, 4, 5)))


def trained(scenario, data, epochs=1, **options):
    """(the results of the last epoch, the state) of one replica."""
    results, state = run(scenario, data, jax.random.key(0), epochs, **options)
    return results.isel(epoch=-1), state


def inferred(scenario, data, state, features, is_attacked=None):
    """What becomes of test rows, as arrays of NumPy."""
    one = replica_api.prepare(scenario, data, jax.random.key(0))
    found = jit_infer(
        one.shapes, one.scenario, state, features, jax.random.key(1), one.knowledge, None, None, is_attacked
    )
    return jax.tree.map(np.asarray, found)


def best(logits):
    """The first class with the largest logit, −1 for an undefined row."""
    return np.array([-1 if np.isnan(row).any() else int(np.argmax(row)) for row in logits])


def wins(logits, label):
    """Which rows have one class alone at the top."""
    return np.array([all(row[label] > row[c] for c in range(len(row)) if c != label) for row in logits])


def full_by_hand(clean, attacked, labels, wanted, attackers):
    """The second pass by plain counts.

    Args:
      clean, attacked: what became of all test rows, and what becomes of them when those of other classes are attacked.
      labels: of the rows.
      wanted: the class that each attacker wants.
      attackers: the numbers of their parties.
    """
    rows = [i for i, label in enumerate(labels) if label not in wanted]
    success = np.mean([wins(attacked.logits, c) for c in wanted], axis=0)
    by_class = [success[[i for i in rows if labels[i] == c]] for c in range(clean.logits.shape[1])]
    means = [of_class.mean() if len(of_class) else np.nan for of_class in by_class]
    found = {
        "full_clean_accuracy": np.mean(best(clean.logits) == labels),
        "full_attack_success": success[rows].mean(),
        "full_attack_success_by_class": means,
        "full_attack_success_macro": np.nanmean(means),
        "full_recovered_utility": np.mean((best(attacked.logits) == labels)[rows]),
    }
    of_parties = [stealth_by_hand(clean, attacked, rows, k) for k in attackers]
    for name in of_parties[0] if of_parties else ():
        found[f"full_stealth_{name}"] = np.mean([areas[name] for areas in of_parties])
    return found


def stealth_by_hand(clean, attacked, rows, party):
    """How well three simple numbers tell attacked messages of a party from the clean ones of the same rows."""
    before, after = clean.sent[party], attacked.sent[party]
    said, then = best(clean.logits), best(attacked.logits)
    means = {c: before[said == c].mean(axis=0) for c in set(said)}
    numbers = {
        "l2": [[np.sqrt((h**2).sum()) for h in sent] for sent in (before, after)],
        "linf": [[max(abs(h)) for h in sent] for sent in (before, after)],
        "class_mean": [
            [np.sqrt(((h - means[c]) ** 2).sum()) if c in means else np.nan for h, c in zip(sent, of_row, strict=True)]
            for sent, of_row in ((before, said), (after, then))
        ],
    }
    return {name: auc(np.array(second)[rows], np.array(first)[rows]) for name, (first, second) in numbers.items()}


def auc(positive, negative):
    """The area under the ROC curve, of values that are defined."""
    values, truth = np.concatenate([positive, negative]), np.repeat([1, 0], [len(positive), len(negative)])
    return roc_auc_score(truth[~np.isnan(values)], values[~np.isnan(values)])


def assert_found(results, expected):
    """The results have these numbers."""
    for name, value in expected.items():
        np.testing.assert_allclose(results[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
