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
# # Figures 1 and 2: who holds what
#
# The paper's experiment in two pictures, drawn from the data and the scenarios themselves. MNIST is read from the
# folder that the environment variable `VFL_JAX_DATA` names, or downloaded once.

# %%
# %matplotlib inline
import sys

sys.path.insert(0, "..")  # the experiments lie beside this folder

from experiments.liu2020.pictures.digits import figure_1
from experiments.liu2020.pictures.networks import bottom_layers, figure_2, head_layers
from experiments.shared.cases import load_task
from vfl_jax.data import PixelTrigger
from vfl_jax.presets import liu2020_code

data = load_task("mnist")
data.parties, [features.shape for features in data.train.features]

# %% [markdown]
# ## Figure 1: the backdoor task
#
# Party A sees the upper half of every digit, party B the lower half. Party B stamps four pixels of full ink into its
# corner of some training images, and wants whatever carries them to be taken for a zero. The labels, which it does not
# know, stay what they are.

# %%
scenario = liu2020_code(head="sum")
figure_1(scenario, data)

# %% [markdown]
# The trigger is part of the scenario. It may lie over both parties (section 5.2 of the paper):

# %%
spread = PixelTrigger(pixels=((0, 0), (1, 1), (26, 26), (27, 27)))
figure_1(scenario.replace(poison=scenario.poison.replace(trigger=spread)), data, digits=(2, 5, 8))

# %% [markdown]
# ## Figure 2: the two networks
#
# Without a trainable active party the logits are the sum of what the parties send. With one, the embeddings are joined
# and go through a dense layer of 32 before the output. The text and the published run differ in the parties' layers:

# %%
figure_2(data)

# %% [markdown]
# The boxes are read off the models' parameters, so that any scenario can be asked for its layers; here one with wider
# bottoms:

# %%
wider = scenario.replace(bottoms=tuple(bottom.replace(hidden=(128, 32)) for bottom in scenario.bottoms))
bottom_layers(wider.bottoms[0], data.train.features[0]), head_layers(wider, data.num_classes)
