"""With a folder for compiled programs a second process compiles nothing, and finds the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SWEEP = """
import hashlib
from sweep_helpers import swept
print(hashlib.sha256(swept(seeds=2, over={}).loss.values.tobytes()).hexdigest())
"""


@pytest.mark.long
def test_a_second_process_finds_the_programs_of_the_first(tmp_path):
    settings = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def trained():
        command, home = [sys.executable, "-c", SWEEP], Path(__file__).parent
        found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=home, env=os.environ | settings)
        programs = {path.name for path in tmp_path.iterdir() if path.name.endswith("-cache")}
        return found.stdout, programs

    first, programs = trained()
    for name in ("init_models", "init_methods", "train_epoch", "evaluate", "attack_all"):
        assert any(program.startswith(f"jit_{name}-") for program in programs), name
    assert trained() == (first, programs)
