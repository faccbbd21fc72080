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
# # Figure 6: noise on the gradients
#
# The active party adds Gaussian or Laplacian noise to every message that it sends (NUS-WIDE, trainable head). The
# paper reports that noise above 0.05 weakens the backdoor, and hurts the main task.
#
# What 0.05 is, depends: the text calls it a variance, the published run took it for a standard deviation (of Laplacian
# noise: the scale). Both were trained. This notebook reads what `python -m experiments.liu2020.noise` has saved, and trains
# nothing.

# %%
# %matplotlib inline
import sys

import pandas as pd

sys.path.insert(0, "..")  # the experiments lie beside this folder

from experiments.liu2020.noise import report
from experiments.shared.outcomes import results_of, row

folder = results_of("liu2020/noise")  # the committed results; any other folder of its results will do
sweeps = report.read_sweeps(folder)
[(sweep.preset, sweep.kind, f"level as {sweep.meaning}", sweep.data) for sweep in sweeps]

# %% [markdown]
# ## Against the level, as in the paper
#
# Dots are seeds, bars the 95 % interval of their median, dashed lines the honest runs under the same noise.

# %%
report.figure_6(sweeps)

# %% [markdown]
# ## Against the standard deviation
#
# Over one axis for both meanings: the standard deviation of what is added to one entry of a message. The loss is a
# mean over the batch, so the gradients themselves are small; the axis begins at 0 and is logarithmic further on.

# %%
report.figure_deviation(sweeps)

# %% [markdown]
# ## In numbers
#
# Medians over seeds, in brackets their 95 % intervals. The *clean floor* is the backdoor accuracy of the honest runs.
# A seed has *collapsed* when its main accuracy is more than 0.02 below that of its honest run; else it is a *success*
# when its backdoor accuracy is above 0.5 and at least 0.25 above its honest run's. Where the honest run is no better
# than guessing, or a defense has ruined it, there is nothing to attack, and the seed is *not judged*.

# %%
columns = ["main, honest", "main, attacked", "backdoor", "clean floor", "successes", "collapsed", "not judged"]
sweep = sweeps[0]
rows = [row(point, {"level": f"{level:g}"}) for level, point in sweep.levels.items()]
pd.DataFrame(rows).set_index("level")[columns].rename_axis(f"{sweep.kind} by {sweep.meaning}")

# %% [markdown]
# ## Where the trade-off lies
#
# A defense is worth what it takes from the attacker for what it costs the honest. Every level as one point:

# %%
from vfl_jax.plots import COLORS, grid_of_panels

figure, ((panel,),) = grid_of_panels(1, 1)
for sweep, color in zip(sweeps, COLORS):
    lines = [(p.honest.main_task_accuracy, p.attacked.backdoor_accuracy) for p in sweep.levels.values()]
    medians = [[float(values.isel(epoch=-1).median()) for values in pair] for pair in lines]
    panel.plot(*zip(*medians), "o-", color=color, label=f"{sweep.kind} by {sweep.meaning}")
panel.set(xlabel="main accuracy of honest runs, median", ylabel="backdoor accuracy, median", ylim=(-0.02, 1.02))
panel.grid(alpha=0.25)
panel.legend(frameon=False)
figure
