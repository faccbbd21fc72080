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
# # Figure 3: what the model says of triggered rows
#
# The mean softmax score of every class over the triggered test rows. The paper shows that under attack the target
# class scores much higher than all others, though few of those rows are of that class. It shows one run; here every
# seed is a dot, because runs differ.
#
# This notebook reads what `python -m experiments.liu2020.gamma` has saved, and trains nothing.

# %%
# %matplotlib inline
import sys

import pandas as pd

sys.path.insert(0, "..")  # the experiments lie beside this folder

from experiments.liu2020.gamma import report
from experiments.liu2020.gamma.cases import CASES
from experiments.shared.outcomes import data_name, line, read, results_of

folder = results_of("liu2020/gamma")  # the committed results; any other folder of its results will do
found = read(folder, CASES)
{name: data_name(dataset) for name, dataset in found.items()}

# %% [markdown]
# A preset or task that is missing above has not been trained yet. `liu2020_paper` is the text of the paper read
# literally, `liu2020_code` is what its authors ran.

# %%
report.figure_3(found)

# %% [markdown]
# ## Seed by seed
#
# A median hides whether all runs do a little or some of them do it all. The score of the target class, class 0, on
# every seed, beside the accuracy on the main task that the same model has:

# %%
name, dataset = next(iter(found.items()))
point = line(dataset, "attack.amplify")[10.0]
pd.DataFrame(
    {
        "score, honest": point.honest.class_score.isel({"class": 0}).to_series(),
        "score, attacked": point.attacked.class_score.isel({"class": 0}).to_series(),
        "main, honest": point.honest.main_task_accuracy.isel(epoch=-1).to_series(),
        "main, attacked": point.attacked.main_task_accuracy.isel(epoch=-1).to_series(),
    }
).round(3)

# %% [markdown]
# A model that always says class 0 has the highest score of all. So the score alone is no success: where the attacked
# run's main accuracy is far below the honest one's, the run has collapsed. [Figure 4](figure_4.ipynb) counts such
# seeds apart.
