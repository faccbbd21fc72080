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
# # First steps
#
# A backdoor in vertical federated learning, on real handwritten digits, in a minute. Two parties hold the upper and
# the lower half of every image; a third holds the labels. The party with the lower halves is malicious: it knows one
# image of a zero, and wants every image with a small mark in its corner to be taken for a zero.

# %%
# %matplotlib inline
import jax

import vfl_jax as vfl

vfl.use_all_cores()
data = vfl.load_digits()
scenario = vfl.presets.digits_demo(head="sum")
scenario

# %% [markdown]
# A scenario is data: it prints, saves as JSON and compares. Every number in it can be swept by its path.

# %%
vfl.numbers(scenario)

# %% [markdown]
# ## One replica
#
# `run` trains one replica and evaluates it after every epoch. The result is an xarray `Dataset`.

# %%
results, state = vfl.run(scenario, data, jax.random.key(0), epochs=5)
results[["loss", "main_clean", "attack_success_rate"]].to_dataframe()

# %% [markdown]
# ## A grid of settings, many seeds, one program
#
# `attack.enabled` 0 is the honest run on the same stamped data with the same weights and batches: the clean floor of
# every backdoor number. Here the attacker reads labels off its gradients (section 5.3 of the paper), and the active
# party answers with noise.

# %%
attacker = vfl.attacks.LabelReplacement()
scenario = scenario.replace(
    attacks=(vfl.PartyTransform(), attacker),
    defense=vfl.defenses.GaussianNoise(),
)
results = vfl.sweep(
    scenario,
    data,
    over={"attack.enabled": [0, 1], "defense.stddev": [0.0, 0.005, 0.02]},
    seeds=4,
    epochs=40,
    progress=False,
)
vfl.reports.rows(results)

# %%
vfl.plots.against(
    results.sel({"attack.enabled": 1}),
    "defense.stddev",
    ("main_clean", "attack_success_rate"),
    floor=vfl.statistics.honest(results),
)

# %% [markdown]
# Dots are seeds, bars are 95 % intervals of their median, the dashed line is the honest model at the same noise.
#
# What the messages leak, attacked or not: of the training rows whose label the attacker read off their last message, the
# share that it read correctly. It reads nearly all of them (`label_inference_rate`). Noise hides less from somebody who
# adds up a row's messages: `LabelReplacement(evidence="fading")`.

# %%
results["label_inference_accuracy"].isel(epoch=-1).median("seed").to_pandas()


# %% [markdown]
# ## A defense of your own
#
# A record of numbers and the hooks it needs. Its numbers are leaves of the scenario, so it can be swept at once.

# %%
class SignOnly(vfl.ActiveTransform):
    """Sends the sign of every gradient entry, scaled; ``share`` 0 sends the gradient itself."""

    share: float = 0.0

    def on_send(self, key, state, view, gradients):
        signed = (jax.numpy.sign(g) * jax.numpy.abs(g).mean() for g in gradients)
        return tuple((1 - self.share) * g + self.share * s for g, s in zip(gradients, signed)), state


results = vfl.sweep(
    scenario.replace(defense=SignOnly()),
    data,
    over={"attack.enabled": [0, 1], "defense.share": [0.0, 0.5, 1.0]},
    seeds=4,
    epochs=40,
    progress=False,
)
vfl.reports.rows(results)
