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
# # Figure 5: a trainable head as a defense
#
# In place of a sum, the active party joins the embeddings and trains a dense layer of 32 on them. The paper reports
# that the backdoor then fails on MNIST and succeeds on NUS-WIDE, and that the main task gets better (its Table 2).
#
# This notebook reads what `python -m experiments.liu2020.head` has saved, and trains nothing.

# %%
# %matplotlib inline
import sys

import pandas as pd

sys.path.insert(0, "..")  # the experiments lie beside this folder

from experiments.liu2020.head import report
from experiments.liu2020.head.cases import CASES
from experiments.shared.outcomes import TABLE_2, data_name, points, read, results_of, row

folder = results_of("liu2020/head")  # the committed results; any other folder of its results will do
found = read(folder, CASES)
fixed = report.read_sum_head(folder, found)
{name: data_name(dataset) for name, dataset in found.items()}

# %% [markdown]
# The sum head was trained by another experiment, [that of γ](figure_4.ipynb). Where it is there, on the same data, it is
# drawn beside the trainable one.

# %%
report.figure_5(found, fixed)

# %% [markdown]
# ## After the last epoch
#
# The paper's accuracies without attack:

# %%
pd.DataFrame(TABLE_2).T

# %% [markdown]
# Ours, honest and attacked; a name that ends in a depth has more hidden layers than the paper's one.
#
# Medians over seeds, in brackets their 95 % intervals. The *clean floor* is the backdoor accuracy of the honest runs.
# A seed has *collapsed* when its main accuracy is more than 0.02 below that of its honest run; else it is a *success*
# when its backdoor accuracy is above 0.5 and at least 0.25 above its honest run's. Where the honest run is no better
# than guessing, or a defense has ruined it, there is nothing to attack, and the seed is *not judged*.

# %%
columns = ["main, honest", "main, attacked", "backdoor", "clean floor", "successes", "collapsed", "not judged"]
rows = [row(point, {"case": name}) for name, dataset in found.items() for point in points(dataset)]
pd.DataFrame(rows).set_index("case")[columns]
