"""What a report says of one result, whatever shows it: the answer, figures, tables, what was assumed, how to repeat it.

A room above this one adds a kind of result by a line in :data:`READERS`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vfl_jax.core.labelled import check_dataset
from vfl_jax.reports.answers import answer
from vfl_jax.reports.repeating import epochs_of, joined_along, repeating
from vfl_jax.reports.tables import UNDEFINED, Row, note, rows, setting_text
from vfl_jax.statistics.checked import OF_RUNS, check_results
from vfl_jax.statistics.main_accuracy import main_of
from vfl_jax.statistics.references import attribute, is_by_case

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a report says of one result.

    Args:
      name: what the report calls the result.
      question: the title of a page about it alone.
      answer: the answer, a sentence or two each.
      figures: every figure with its caption.
      tables: by title, the rows of every table, the one that answers first.
      notes: sentences that say what the columns of the tables are.
      assumed: what was assumed, a row each.
      study: all that settles the numbers, text by path, to tell results apart.
      repeat: by title, what a machine needs to repeat it.
    """

    name: str
    question: str
    answer: list[str]
    figures: list[tuple[Figure, str]]
    tables: dict[str, list[Row]]
    notes: str
    assumed: list[Row]
    study: dict[str, str]
    repeat: dict[str, str]


READERS: list[tuple[Callable[[xr.Dataset], bool], Callable[[xr.Dataset, str], Reading]]] = []
"""Kinds of results that other rooms make: whether a result is one, and what reads it."""


def read(dataset: xr.Dataset, name: str) -> Reading:
    """Reads one result.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases``, ``run``, ``arena`` or an audit.
      name: what the report calls it.

    Raises:
      ValueError: where ``dataset`` is something else.
    """
    check_dataset(name, dataset)
    for is_one, reader in READERS:
        if is_one(dataset):
            return reader(dataset, name)
    check_results(name, dataset, OF_RUNS)
    return _of_sweep(dataset, name)


def _of_sweep(dataset: xr.Dataset, name: str) -> Reading:
    """The reading of a sweep, of cases, or of one run."""
    from vfl_jax import plots

    main = main_of(dataset)
    table = rows(dataset, main)
    drawn = [
        variable
        for variable in (main, "attack_success_rate")
        if variable in dataset and dataset[variable].notnull().any()
    ]
    caption = (
        "Dots and thin lines are seeds, thick lines their median, bars and bands its 95 % interval. "
        "Dashed or “honest” is without an attack."
    )
    study = study_of(dataset)
    return Reading(
        name,
        f"{name}: does the attack get through?",
        answer(dataset),
        [(plots.overview(dataset, drawn), caption)] if drawn else [],
        {"Every setting": table},
        note(table, main),
        _assumed(dataset, study),
        study,
        repeating(dataset),
    )


def study_of(dataset: xr.Dataset) -> dict[str, str]:
    """All that settles the numbers of results, text by path: scenario, data, seeds, epochs, versions.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases`` or ``run``.
    """
    found = flat(attribute(dataset, "scenario") or {})
    data = attribute(dataset, "data") or {}
    found |= {f"data.{key}": str(data[key]) for key in ("name", "fingerprint") if key in data}
    for dimension in dataset["main_task_accuracy"].dims:
        names = [n for n, of in dataset.coords.items() if of.dims == (dimension,)]
        if dimension not in ("seed", "epoch", "case"):
            found |= {f"swept {name}": ", ".join(setting_text(v) for v in dataset[name].values) for name in names}
    found |= {"seeds": str(dataset.sizes.get("seed", 1)), "epochs": str(epochs_of(dataset))}
    found |= {f"versions.{name}": str(said) for name, said in (attribute(dataset, "versions") or {}).items()}
    return found


def flat(content: Any, path: str = "") -> dict[str, str]:
    """The leaves of JSON content as text, by their paths, such as ``attacks.1.amplify``.

    Args:
      content: JSON content.
      path: the path of the content itself.

    Example:
      >>> flat({"defense": {"record": "GaussianNoise", "stddev": 0.1}})
      {'defense.record': 'GaussianNoise', 'defense.stddev': '0.1'}
    """
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else None
    if pairs is None:
        return {path: content if isinstance(content, str) else json.dumps(content)}
    found: dict[str, str] = {}
    for key, below in pairs:
        found |= flat(below, f"{path}.{key}".lstrip("."))
    return found


def differing_rows(studies: Mapping[str, Mapping[str, str]]) -> list[Row]:
    """Where studies differ, a row per path and a column per study; a dash where one has nothing there.

    Args:
      studies: by name, text by path.
    """
    paths = dict.fromkeys(path for study in studies.values() for path in study)
    differing = (path for path in paths if len({study.get(path) for study in studies.values()}) > 1)
    return [
        {"what": path, **{name: study.get(path, UNDEFINED) for name, study in studies.items()}} for path in differing
    ]


def _assumed(dataset: xr.Dataset, study: Mapping[str, str]) -> list[Row]:
    """What a reader must know of a study, a row each."""
    scenario, size = attribute(dataset, "scenario") or {}, attribute(dataset, "rows") or {}
    parties = (attribute(dataset, "data") or {}).get("parties", [])
    said = {
        "data set": study.get("data.name", UNDEFINED),
        "parties": ", ".join(parties) or UNDEFINED,
        "seeds": study["seeds"],
        "epochs": study["epochs"],
    }
    if not is_by_case(dataset):
        poison, target = scenario.get("poison", {}), scenario.get("poison", {}).get("target_class")
        classes = list(map(str, dataset["class"].values)) if "class" in dataset.coords else []
        said |= {
            "training rows; test rows": "; ".join(
                f"{size[of]:,}" if of in size else UNDEFINED for of in ("train", "test")
            ),
            "attackers": _attackers(scenario, parties),
            "defense": _methods(scenario.get("defense", {})) or "none",
            "target class (τ)": classes[target] if target is not None and target < len(classes) else str(target),
            "share of training rows poisoned": str(poison.get("rate", UNDEFINED)),
            "trigger": str(poison.get("trigger", {}).get("record", UNDEFINED)),
        }
    else:
        said["cases"] = ", ".join(map(str, dataset["case"].values))
    if joined := joined_along(dataset):
        labels = dataset[joined].values if joined in dataset.coords else range(dataset.sizes[joined])
        said[f"joined along {joined}"] = f"{', '.join(map(str, labels))}; what stands above is said of the first part"
    return [{"what": what, "here": here} for what, here in said.items()]


def _count(number: int | None) -> str:
    """A number of rows; a dash where results do not say it."""
    return UNDEFINED if number is None else f"{number:,}"


def _attackers(scenario: Mapping[str, Any], parties: list[str]) -> str:
    """Who attacks, and by which methods."""
    by_party = {
        f"{parties[k] if k < len(parties) else f'party {k}'}": _methods(attack)
        for k, attack in enumerate(scenario.get("attacks", []))
    } | {"the active party": _methods(scenario.get("active_attack", {}))}
    return "; ".join(f"{party}: {methods}" for party, methods in by_party.items() if methods) or "nobody"


def _methods(record: Mapping[str, Any]) -> str:
    """The names of the methods in one place; empty where nothing is changed there."""
    parts = record.get("parts")
    if parts is not None:
        return ", ".join(filter(None, map(_methods, parts)))
    name = str(record.get("record", ""))
    return "" if name in ("", "PartyTransform", "ActiveTransform") else name
