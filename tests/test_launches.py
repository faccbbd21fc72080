"""What a training step launches on a GPU: the counter of compiled programs."""

import pytest

from experiments.benchmarks import described_gpu, launches

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
