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
# # Figure 4: the amplify ratio γ
#
# The attacker pulls γ times the recorded gradient back for every poisoned row. The paper trains γ of 1, 5, 10 and 20
# where nothing defends (sum head), finds that both tasks keep a high accuracy "for a reasonable range of γ", and goes
# on with γ = 10.
#
# This notebook reads what `python -m experiments.liu2020.gamma` has saved, and trains nothing.

# %%
# %matplotlib inline
import sys

import pandas as pd

sys.path.insert(0, "..")  # the experiments lie beside this folder

from experiments.liu2020.gamma import report
from experiments.liu2020.gamma.cases import CASES
from experiments.shared.outcomes import data_name, line, read, results_of, row

folder = results_of("liu2020/gamma")  # the committed results; any other folder of its results will do
found = read(folder, CASES)
{name: data_name(dataset) for name, dataset in found.items()}

# %% [markdown]
# ## Per epoch, as in the paper
#
# Thin lines are seeds, thick ones their median, bands its 95 % interval. On the left the main task, on the right the
# share of triggered test rows that are taken for the target class. The honest runs have the same trigger on the same
# rows, so that their curve on the right is the floor.

# %%
report.figure_4(found)

# %% [markdown]
# ## After the last epoch, over more γ

# %%
report.figure_gamma(found)

# %% [markdown]
# Medians over seeds, in brackets their 95 % intervals. The *clean floor* is the backdoor accuracy of the honest runs.
# A seed has *collapsed* when its main accuracy is more than 0.02 below that of its honest run; else it is a *success*
# when its backdoor accuracy is above 0.5 and at least 0.25 above its honest run's. Where the honest run is no better
# than guessing, or a defense has ruined it, there is nothing to attack, and the seed is *not judged*.

# %%
name, dataset = next(iter(found.items()))
print(name, "on", data_name(dataset))
columns = ["main, honest", "main, attacked", "backdoor", "clean floor", "successes", "collapsed", "not judged"]
rows = [row(point, {"γ": f"{gamma:g}"}) for gamma, point in line(dataset, "attack.amplify").items()]
pd.DataFrame(rows).set_index("γ")[columns]

# %% [markdown]
# ## One γ, every seed
#
# Outcomes are often two-peaked, so a mean over seeds would describe no run at all.

# %%
point = line(dataset, "attack.amplify")[10.0]
seeds = pd.DataFrame(
    {
        "backdoor": point.attacked.backdoor_accuracy.isel(epoch=-1).to_series(),
        "main": point.attacked.main_task_accuracy.isel(epoch=-1).to_series(),
        "main, honest": point.honest.main_task_accuracy.isel(epoch=-1).to_series(),
        "outcome": point.counted.outcome.isel(epoch=-1).to_series(),
    }
)
seeds.sort_values("backdoor").round(3)
