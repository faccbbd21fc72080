"""What a type checker says of somebody's own methods: it flags what a party cannot see, and lets the rest pass."""

import re
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api", reason="mypy is installed for development only")

HEAD = """
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

import vfl_jax as vfl
"""

FLAGGED = """
class Peeking(vfl.Attack):
    def on_download(
        self, key: jax.Array, state: Any, view: vfl.PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, Any]:
        return gradient * view.labels[:, None], state  # flagged: "PartyView" has no attribute "labels"


class Expecting(vfl.ActiveTransform):
    def on_send(
        self, key: jax.Array, state: Any, view: vfl.ActiveView, gradients: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, ...], Any]:
        return tuple(g * view.features for g in gradients), state  # flagged: "ActiveView" has no attribute "features"


class Forgetting(vfl.Attack):
    def report(self, state: Any) -> jax.Array:  # flagged: incompatible
        return state


class Guessing(vfl.Attack):
    def infer_upload(self, key: jax.Array, state: Any, view: vfl.PartyInferView, embedding: jax.Array) -> jax.Array:
        return embedding * view.sample_ids  # flagged: "PartyInferView" has no attribute "sample_ids"


class Optimising(vfl.Attack):
    def init(self, key: jax.Array, shapes: vfl.Shapes, party: int) -> Any:
        return jnp.zeros(len(shapes.rowwise))  # flagged: "Shapes" has no attribute "rowwise"


vfl.attacks.GradientReplacement(amplify="10")  # flagged: incompatible type "str"
"""

PASSES = """
@flax.struct.dataclass
class Heard:
    total: jax.Array  # float32[E]


class Replaying(vfl.Attack):
    amplify: float = 3.0

    def init(self, key: jax.Array, shapes: vfl.Shapes, party: int) -> Heard:
        return Heard(total=jnp.zeros(shapes.widths[party]))

    def on_download(
        self, key: jax.Array, state: Heard, view: vfl.PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, Heard]:
        is_poison, is_target = view.knowledge.find(view)
        total = state.total.at[:].add(gradient[jnp.argmax(is_target)])
        replaced = gradient.at[view.sample_ids.argmax()].set(self.amplify * total)
        return jnp.where(is_poison[:, None], replaced, gradient), Heard(total=total)

    def infer_upload(self, key: jax.Array, state: Heard, view: vfl.PartyInferView, embedding: jax.Array) -> jax.Array:
        return embedding + view.features.sum() * state.total[None]

    def report(self, state: Heard) -> dict[str, jax.Array]:
        return {"heard": state.total}

    def check(self, shapes: vfl.Shapes, party: int, by_role: bool) -> None:
        if shapes.active_party == party:
            raise ValueError(f"{shapes.num_classes} classes")


class Shortening(vfl.ActiveTransform):
    share: float = 1.0
    norm: str = vfl.static(default="l2")

    def on_send(
        self, key: jax.Array, state: Any, view: vfl.ActiveView, gradients: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, ...], Any]:
        seen = view.labels.at[0].get() * self.share
        return tuple(g * seen for g in gradients), state


class Plain(vfl.Attack):
    def on_upload(self, key, state, view, embedding):
        return 2 * embedding, state


class Together(vfl.ActiveTransform):
    # Class attributes of the bases, declared as fields.
    inference_batch: int = vfl.static(default=8)
    optimizer: vfl.models.Optimizer = vfl.models.Optimizer(learning_rate=0.1)


attacks = (Plain(), Replaying(amplify=2.0, enabled=0.0), vfl.PartyTransform())
vfl.Scenario(attacks=attacks, defense=vfl.ActiveChain(parts=(Shortening(), vfl.defenses.Clipping(bound=1.0))))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What mypy says of both files, by file and line; one run, which reads the package once."""
    folder, root = tmp_path_factory.mktemp("own"), Path(__file__).parents[1]
    for name, text in {"flagged.py": FLAGGED, "passes.py": PASSES}.items():
        (folder / name).write_text(HEAD + text)
    files = [str(folder / name) for name in ("flagged.py", "passes.py")]
    options = ["--config-file", str(root / "pyproject.toml"), "--cache-dir", str(root / ".mypy_cache")]
    out, err, _ = api.run([*files, *options, "--show-error-codes", "--no-error-summary", "--hide-error-context"])
    assert not err
    lines = re.findall(r"(\w+)\.py:(\d+): error: (.*)", out)
    return {name: {int(line): text for file, line, text in lines if file == name} for name in ("flagged", "passes")}


@pytest.mark.long
def test_what_nobody_can_see_is_flagged_where_it_is_asked_for(said):
    lines = (HEAD + FLAGGED).splitlines()
    expected = {i: line.partition("# flagged: ")[2] for i, line in enumerate(lines, 1) if "# flagged: " in line}
    assert len(expected) == 6
    assert said["flagged"].keys() == expected.keys()
    for line, text in expected.items():
        assert text.lower() in said["flagged"][line].lower()


def test_an_annotated_method_passes(said):
    assert said["passes"] == {}
