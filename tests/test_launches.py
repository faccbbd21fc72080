"""What a training step launches on a GPU: the counter of compiled programs."""

import collections
import re

import jax.numpy as jnp
import pytest

from experiments.benchmarks import described_gpu, launches, on_gpu, setup
from vfl_jax.sweeps import programs
from vfl_jax.sweeps.prepared import prepare

PROGRAM = """
%inner (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %sum = f32[4]{0} fusion(%a, %b), kind=kLoop, metadata={op_name="jit(f)/add"}
  ROOT %t = (s32[], f32[4]) tuple(%i, %sum)
}

%body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %gte = f32[4]{0} get-tuple-element(%p), index=1
  %c = f32[4]{0} copy(%gte)
  %w = (s32[], f32[4]{0}) while(%c), condition=%cond, body=%inner, backend_config={"known_trip_count":{"n":"31"}}
  ROOT %d = (f32[4]{0}, f32[4]{0}) fusion(%w), kind=kLoop
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %loop = (s32[], f32[4]{0}) while(%x), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"100"}}
}
"""


def test_launches_are_counted_with_those_of_inner_loops():
    (steps,) = described_gpu.loops(PROGRAM)
    assert (steps.turns, len(steps.kernels), steps.launches) == (100, 2, 2 + 31)
    assert launches.summary(steps) == {"launches": 33, "outside": 2, "loops": ["31 × 1"]}
    assert "jit(f)/add" in "\n".join(launches.details(steps))


def test_a_folder_without_the_compiler_is_told_how_to_get_it(tmp_path):
    with pytest.raises(SystemExit, match=r"--compiler is [\s\S]*pip install --no-deps --target .*jax-cuda13-pjrt=="):
        described_gpu.find_compiler(tmp_path)


@pytest.mark.parametrize(
    ("case", "defense", "products"), [("nus", "noise", 9), ("nus", "sparsification", 9), ("mnist", "none", 10)]
)
def test_a_step_for_an_accelerator_stays_lean(case, defense, products):
    """What a CPU can see of an epoch that is lowered for a GPU: one loop, no loop in it, one log, few products."""
    ready = prepare(setup.study(case, defense, 256, 64), setup.chunk(defense, 2, 2))
    shapes, layout, *arrays = ready.arguments
    traced = programs.train_epoch.trace(shapes, layout._replace(at_once=2), *arrays, ready.state_shapes(), jnp.int32(0))
    found = collections.Counter(
        re.findall(r'= "?stablehlo\.(\w+)', traced.lower(lowering_platforms=("cuda",)).as_text())
    )
    counts = {name: found[name] for name in ("while", "dynamic_update_slice", "dot_general", "scatter")}
    # The scatter finds the rows that an epoch left out; no step has one.
    assert counts == {"while": 1, "dynamic_update_slice": 1, "dot_general": products, "scatter": 1}


@pytest.mark.long
def test_a_part_that_fails_on_a_gpu_says_so_and_the_others_are_shown(tmp_path):
    broken = on_gpu.in_a_process(on_gpu.Arguments(rows=0), "growth")
    assert "ValueError" in broken["error"]
    sweeps = {
        "figure": {"device": "a GPU", "sweep_seconds": 12.0, "main_task_accuracy": [[0.5, 0.6]], "loss": [[1.0, 2.0]]},
        "figure in float32": {
            "device": "a GPU", "sweep_seconds": 15.0, "main_task_accuracy": [[0.5, 0.4]], "loss": [[1.0, 2.5]]
        },
    }  # fmt: skip
    shown = on_gpu.table({"growth": broken} | sweeps)
    assert shown.startswith(f"growth: {broken['error']}")
    assert "TF32 against float32, main_task_accuracy: at most 0.2, mean 0.1" in shown
