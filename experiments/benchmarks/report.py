"""What was measured, as the tables of the README."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

PEERS = {
    "eager": "PyTorch eager loop",
    "eager, one thread": "PyTorch eager loop, one thread",
    "vmap, whole table": "PyTorch, torch.func.vmap, the whole table updated",
    "vmap": "PyTorch, torch.func.vmap, tuned",
    "vmap, compiled": "the same, torch.compile",
}


def tables(found: dict[str, Any]) -> str:
    """Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [f"{found['machine']}, {versions}; medians of {found['settings']['rounds']} turns.", ""]
    for case, times in found["times"].items():
        lines += [f"### {case}", "", *_case(times), ""]
    lines += ["### Memory and compile time, with noise", "", *_alone(found["alone"])]
    return "\n".join(lines)


def _case(times: dict[str, list[float]]) -> list[str]:
    medians = {name: statistics.median(turns) for name, turns in times.items()}
    sizes = [int(name.rpartition(" ")[2]) for name in times if name.startswith("vfl_jax, ") and name[-1].isdigit()]
    rows = {"vfl_jax": {size: medians[f"vfl_jax, {size}"] for size in sizes}}
    rows["vfl_jax, not mapped"] = {1: medians["vfl_jax, unmapped"]}
    for peer, name in PEERS.items():
        if peer in medians:
            rows[name] = {1: medians[peer]}
        elif found := {size: medians[f"{peer}, {size}"] for size in sizes if f"{peer}, {size}" in medians}:
            rows[name] = found
    lines = [
        "| µs per replica and step | " + " | ".join(f"{size}" for size in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for name, row in rows.items():
        cells = [f"{row[size]:.0f}" if size in row else "" for size in sizes]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    main = 160 if 160 in sizes else sizes[-1]
    ours = times[f"vfl_jax, {main}"]
    lines += ["", f"With {main} replicas vfl_jax is faster, in the same turn, than"]
    for peer, name in PEERS.items():
        label = peer if peer.startswith("eager") else f"{peer}, {main}"
        if label in times:
            ratios = [other / own for own, other in zip(ours, times[label], strict=True)]
            lines.append(f"- {name}: {statistics.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f})")
    ratios = [other / own for own, other in zip(ours, times["vfl_jax, unmapped"], strict=True)]
    lines.append(
        f"- its own step, not mapped: {statistics.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f})"
    )
    growth = []
    for smaller, larger in itertools.pairwise(sizes):
        pairs = zip(times[f"vfl_jax, {smaller}"], times[f"vfl_jax, {larger}"], strict=True)
        growth.append(f"{smaller} to {larger}: {statistics.median(b / a for a, b in pairs):.2f}")
    lines += ["", f"Growth of the time per replica and step: {', '.join(growth)}."]
    if "evaluation" in medians:
        lines.append(f"Evaluation: {medians['evaluation']:.2f} µs per replica and test row.")
    if "roof" in times:
        shares = [party / roof for party, roof in zip(times["dense party"], times["roof"], strict=True)]
        lines.append(
            f"The dense party alone (forward, way back, update) runs at {medians['dense party']:.0f} GFLOP/s, "
            f"{statistics.median(shares):.0%} of the {medians['roof']:.0f} of a product of 4096 × 4096 matrices."
        )
    return lines


def _alone(alone: dict[str, dict[str, float]]) -> list[str]:
    lines = ["| | replicas | peak memory, MiB | compilation, s |", "|---|---|---|---|"]
    names = {"vfl_jax": "vfl_jax", "vmap": PEERS["vmap"]}
    for label, facts in alone.items():
        case, implementation, replicas = label.split(", ")
        seconds = f"{facts['compile_seconds']:.1f}" if "compile_seconds" in facts else ""
        lines.append(f"| {case}, {names[implementation]} | {replicas} | {facts['peak_mib']:.0f} | {seconds} |")
    return lines
