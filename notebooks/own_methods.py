# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Methods of your own
#
# A new attack and a new defense, each a few lines, trained against each other over a grid of settings and seeds.
#
# The task is the paper's on small digits: two parties hold the upper and the lower halves, the logits are the sum of
# what both send, and the party with the lower halves wants triggered images to be taken for zeros.

# %%
# %matplotlib inline
import math

import jax
import jax.numpy as jnp
import pandas as pd

import vfl_jax as vfl

vfl.use_all_cores()
data = vfl.load_digits()
scenario = vfl.presets.digits_demo(head="sum")


# %% [markdown]
# ## An attack that does not read its messages
#
# The paper's attacks change the gradients that come down. Defenses therefore sit there: noise, clipping and
# sparsification all spoil these messages.
#
# This attacker makes a gradient of its own. It takes its own embedding for the logits of the whole model and, for rows
# with the trigger, pulls back the gradient that would lead them to the target class, softmax minus one-hot. Dividing
# the embedding by `reach` makes it go on pushing long after its own half is sure.
#
# A method is a record of numbers and the hooks it needs. `init` says what it carries from step to step; here it
# remembers in `on_upload` what `on_download` of the same step needs. `view.knowledge` is what the scenario grants an
# attacker: which rows carry the trigger, and the class that they shall lead to.

# %%
class OwnGradient(vfl.Attack):
    """Trains poisoned rows towards the target class by a gradient of its own making."""

    reach: float = 10.0
    amplify: float = 5.0

    def init(self, key, shapes, party):
        return jnp.zeros((shapes.batch_rows, shapes.widths[party]))

    def on_upload(self, key, state, view, embedding):
        return embedding, embedding

    def on_download(self, key, state, view, gradient):
        is_poison, _ = view.knowledge.find(view)
        wanted = jax.nn.one_hot(view.knowledge.target_class, gradient.shape[1])
        slope = jax.nn.softmax(state / self.reach) - wanted[None]
        made = self.amplify * slope / gradient.shape[0]
        return jnp.where(is_poison[:, None], made, gradient), state


# %% [markdown]
# `vfl.Attack` gives it a switch, `enabled`, which the package applies: at 0 a grid holds the honest run too, with the
# same stamped images, weights and batches. Nothing else is asked of an attack. It sees no labels, because its view has
# none.

# %% [markdown]
# ## A defense that looks at what comes up
#
# A defense is a `vfl.ActiveTransform`. It sees labels, and nothing of what attackers know.
#
# Such an attacker has to shout: its embedding must outvote the other party. So the active party scales every embedding
# down to at most `bound` times the median norm of its party's batch. At inference it uses the median of the last
# batch of training, which it keeps as its state.
#
# What `on_receive` returns stands in place of what was sent: the head is trained on it, and the gradient at it goes
# back to the parties as it is, as if nothing had been changed. The scaling itself is not differentiated.

# %%
class NormCap(vfl.ActiveTransform):
    """Scales embeddings down to at most ``bound`` times the usual norm of their party."""

    neutral = {"bound": math.inf}
    bound: float = math.inf

    def init(self, key, shapes):
        return tuple(jnp.float32(0) for _ in shapes.crossing)

    def on_receive(self, key, state, view, embeddings):
        usual = tuple(jnp.median(jnp.linalg.norm(embedding, axis=1)) for embedding in embeddings)
        return self.infer_receive(key, usual, view, embeddings), usual

    def infer_receive(self, key, state, view, embeddings):
        return tuple(scaled(embedding, self.bound * usual) for embedding, usual in zip(embeddings, state))


def scaled(embedding, largest):
    norms = jnp.linalg.norm(embedding, axis=1, keepdims=True)
    is_over = norms > largest  # of nothing where the bound is inf, not even where the usual norm is 0
    return jnp.where(is_over, embedding * (largest / jnp.where(is_over, norms, 1.0)), embedding)


# %% [markdown]
# ## All in one sweep
#
# Beside the new defense we put one of the paper's, noise on the gradients. Several defenses are joined by a chain.
#
# Numbers of records are leaves of the scenario, so that all caps and noise levels, attacked and honest, are trained in
# one compiled program. A bound of `inf` and a standard deviation of 0 are no defense.

# %%
scenario = scenario.replace(
    attacks=(vfl.PartyTransform(), OwnGradient()),
    defense=vfl.ActiveChain(parts=(NormCap(), vfl.defenses.GaussianNoise())),
)
results = vfl.sweep(
    scenario,
    data,
    over={
        "attack.enabled": [0, 1],
        "defense.stddev": [0.0, 0.01],
        "defense.bound": [math.inf, 1.5, 1.0, 0.8],
    },
    seeds=6,
    epochs=40,
    progress=False,
)

# %% [markdown]
# ## The verdict
#
# One row per grid point: medians over seeds with 95 % intervals, the honest runs' attack success as the floor, and how
# many seeds succeeded or collapsed. So many test rows carry the trigger here that the main accuracy is that of the
# others. Where a defense has cost the honest runs more than 0.1, there is nothing left to attack: results know the honest
# runs without a defense, because each defense says at which numbers it changes nothing (`neutral`). `vfl.summary` has the
# same in numbers.

# %%
table = pd.DataFrame(vfl.reports.rows(results))
table.set_index(["attack.enabled", "defense.stddev", "defense.bound"])

# %% [markdown]
# Without noise, against the cap. Dots are seeds, the dashed line is the honest run under the same cap: what the
# defense takes from the attacker, beside what it costs.

# %%
quiet = results.sel({"defense.stddev": 0.0})
vfl.plots.against(
    quiet.sel({"attack.enabled": 1}),
    "defense.bound",
    ("main_clean", "attack_success_rate"),
    floor=vfl.statistics.honest(quiet),
)

# %% [markdown]
# And with noise: it spoils the honest party's messages, and leaves a gradient that never crossed as it is.

# %%
noisy = results.sel({"defense.stddev": 0.01})
vfl.plots.against(
    noisy.sel({"attack.enabled": 1}),
    "defense.bound",
    ("main_clean", "attack_success_rate"),
    floor=vfl.statistics.honest(noisy),
)

# %% [markdown]
# A method that is to stay belongs in `vfl_jax/attacks` or `vfl_jax/defenses`, with a twin in plain NumPy that it is
# tested against: `CONTRIBUTING.md` says how.
