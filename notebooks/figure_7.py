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
# # Figure 7: gradient sparsification
#
# The active party sends the largest entries of every message only; the *drop rate* is the share that it keeps back.
# What it keeps back is added to a later message. The paper reports that this mitigates the backdoor without hurting
# the main task.
#
# To which later message, the text does not say. The published run adds the rest of the first row of a batch to the
# first row of the next (residual by *position*); by *sample* it waits for the same sample to come again; *none*
# forgets it.
#
# This notebook reads what `python -m experiments.liu2020.sparsification` has saved, and trains nothing.

# %%
# %matplotlib inline
import sys

import pandas as pd

sys.path.insert(0, "..")  # the experiments lie beside this folder

from experiments.liu2020.sparsification import report
from experiments.shared.outcomes import results_of, row

folder = results_of("liu2020/sparsification")  # the committed results; any other folder of its results will do
sweeps = report.read_sweeps(folder)
[f"{sweep.title}: {sweep.label}" for sweep in sweeps]

# %% [markdown]
# ## Against the drop rate
#
# A row of panels per head and task, a line per residual. Dots are seeds, bars the 95 % interval of their median,
# dashed lines the honest runs at the same drop rate.

# %%
report.figure_7(sweeps)

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
rows = [row(point, {"drop rate": f"{rate:g}"}) for rate, point in sweep.rates.items()]
pd.DataFrame(rows).set_index("drop rate")[columns].rename_axis(f"{sweep.title}: drop rate")

# %% [markdown]
# ## One drop rate, per epoch
#
# Whether a run has come to rest, or the backdoor is only late, is seen over epochs. Honest and attacked runs at the
# highest rate:

# %%
from vfl_jax import plots

rate, point = max(sweep.rates.items())
plots.curves({"honest": point.honest, "attacked": point.attacked}, title=f"{sweep.title}, drop rate {rate:g}")
