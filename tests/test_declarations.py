"""What a class of records may declare, refused when the class is made."""

import functools
from typing import Any, ClassVar, Literal, Protocol

import jax
import numpy as np
import pytest
from data_helpers import says

import vfl_jax as vfl
from vfl_jax.attacks import GradientReplacement
from vfl_jax.core.record import Record, kinds, static
from vfl_jax.defenses import Clipping, GaussianNoise
from vfl_jax.models.losses import SoftmaxCrossEntropy


def made(base, **body):
    """A class, as a class statement makes it; annotations are in ``of``."""
    return type("Made", (base,), {"__annotations__": body.pop("of", {}), "__module__": __name__, **body})


def method(*_):
    """Stands for any."""


NO_FIELD = {
    "a number": ({"amplify": 3.0}, ("Made sets amplify = 3.0", "Write amplify: float = 3.0", "AMPLIFY or _amplify")),
    "a whole number": ({"times": 3}, ("times = 3", "times: float = 3")),
    "a truth value": ({"loud": True}, ("loud = True", "loud: <its type> = static(default=...)")),
    "a text": ({"by": "norm"}, ("by = 'norm'", "static(default=...)")),
    "widths": ({"hidden": (3, 4)}, ("hidden = (3, 4)", "static")),
    "an array": ({"weights": np.ones(2)}, ("weights = array([1., 1.])", "static")),
    "nothing": ({"party": None}, ("party = None", "static")),
    "a record": ({"inner": GaussianNoise()}, ("inner = GaussianNoise(", "static")),
    "a record that is called": ({"inner": SoftmaxCrossEntropy()}, ("inner = SoftmaxCrossEntropy(", "static")),
    "a static field": ({"kind": static(default="a")}, ("kind = Field(", "kind: <its type> = static")),
}


@pytest.mark.parametrize("base", [Record, vfl.Attack, vfl.ActiveTransform, vfl.models.Bottom])
@pytest.mark.parametrize("name", NO_FIELD)
def test_a_default_without_an_annotation_is_refused(name, base):
    body, message = NO_FIELD[name]
    with pytest.raises(TypeError, match=says(*message, "constant")):
        made(base, **body)
    assert "Made" not in kinds(Record)


@pytest.mark.parametrize(
    ("base", "body"),
    [
        (GradientReplacement, {"amplify": 3.0}),
        (GradientReplacement, {"enabled": 0.0}),
        (Clipping, {"by": "value"}),
        (vfl.models.MLP, {"width": 4}),
    ],
)
def test_a_new_default_of_a_base_s_field_needs_its_annotation(base, body):
    """Without it a dataclass keeps the old one, and says nothing."""
    with pytest.raises(TypeError, match=says("Made sets", "keeps its old default", "as the base does")):
        made(base, **body)

    class Renewed(GradientReplacement):
        amplify: float = 3.0

    assert Renewed().amplify == 3.0


def test_what_is_no_default_needs_no_annotation():
    class Free(vfl.ActiveTransform):
        """All that a class may hold beside its fields."""

        LIMITS = (1, 2)
        _cache = ()
        Kind = Literal["a", "b"]
        inference_batch = None
        inference_order = "shuffled"
        name: ClassVar[str] = "free"
        level: float = 1.0

        class Inner:
            pass

        def own(self):
            return self.level

        @property
        def twice(self):
            return 2 * self.level

        @functools.cached_property
        def thrice(self):
            return 3 * self.level

        @staticmethod
        def fixed():
            return 4

        @classmethod
        def called(cls):
            return cls.__name__

        also = jax.jit(lambda self, x: x)

    free = Free(level=2.0)
    assert (free.own(), free.twice, free.thrice, free.fixed(), free.called()) == (2, 4, 6, 4, "Free")
    assert (free.inference_batch, free.inference_order) == (None, "shuffled")

    class Table(vfl.models.Bottom):
        table = ("dense_0", "kernel")

    assert Table().table == ("dense_0", "kernel")


class Drawable(Protocol):
    """Test only: no class that tells its instances."""

    def draw(self): ...


NO_LEAF = {
    "a truth value": (bool, "True or False"),
    "a text": (str, "a text"),
    "a choice": (Literal["a", "b"], "one of 'a', 'b'"),
    "a number or none": (float | None, "a number or None"),
    "a record or none": (vfl.ActiveTransform | None, "ActiveTransform or None"),
    "numbers": (tuple[float, ...], "a list, of which every entry is a number"),
    "records in a list": (list[GaussianNoise], "a list"),
    "an array": (jax.Array, "Array"),
    "an array of numpy": (np.ndarray, "ndarray"),
    "anything": (Any, "Any"),
    "a dict": (dict, "dict"),
    "a text of a text": ("str", "a text"),
}


@pytest.mark.parametrize("name", NO_LEAF)
def test_a_leaf_that_can_be_no_number_is_refused(name):
    hint, words = NO_LEAF[name]
    message = ("Made.what is declared as", words, "only numbers (float or int), records", "static(default=...)")
    with pytest.raises(TypeError, match=says(*message)):
        made(Record, of={"what": hint}, what=None)
    assert "Made" not in kinds(Record)


def test_numbers_records_and_tuples_of_records_are_leaves_and_anything_is_structure():
    class Blended(Record):
        level: float = 1.0
        times: int = 2
        inner: GaussianNoise = GaussianNoise()
        parts: tuple[vfl.ActiveTransform, ...] = ()
        text: str = static(default="a")
        free: Any = static(default=None)
        sized: Drawable = static(default=None)

    assert jax.tree.leaves(Blended()) == [1.0, 2, 0.0, 0.0]


def test_an_annotation_that_is_not_known_yet_is_left_to_the_first_use():
    class Early(Record):
        inner: "Later" = static(default=None)  # noqa: F821

    with pytest.raises(ValueError, match=says("Early has an annotation", "Later", "import or define")):
        Early()

    class Later1(Record):
        """What is meant, in the place where annotations are looked up."""

    globals()["Later"] = Later1
    try:
        assert Early(inner=Later1()).inner == Later1()
        with pytest.raises(ValueError, match=says("Early.inner is 3", "a Later1")):
            Early(inner=3)
    finally:
        del globals()["Later"]


def test_a_leaf_that_turns_out_to_be_none_is_refused_at_the_first_use():
    class Wrong(Record):
        inner: "Flag" = False  # noqa: F821

    globals()["Flag"] = bool
    try:
        with pytest.raises(ValueError, match=says("Wrong.inner is declared as True or False", "static")):
            Wrong()
    finally:
        del globals()["Flag"]


MISSPELT = [
    (vfl.Attack, "on_downlaod", "on_download"),
    (vfl.Attack, "on_uplod", "on_upload"),
    (vfl.Attack, "ondownload", "on_download"),
    (vfl.PartyTransform, "On_upload", "on_upload"),
    (vfl.PartyTransform, "infer_uploads", "infer_upload"),
    (vfl.PartyTransform, "inferupload", "infer_upload"),
    (vfl.PartyTransform, "on_", "on_"),
    (vfl.PartyTransform, "on_whatever", "on_"),
    (vfl.PartyTransform, "reprot", "report"),
    (vfl.ActiveTransform, "on_lables", "on_labels"),
    (vfl.ActiveTransform, "on_recieve", "on_receive"),
    (vfl.ActiveAttack, "infer_logit", "infer_logits"),
    (GradientReplacement, "on_downlaod", "on_download"),
    (Clipping, "on_sent", "on_send"),
]


@pytest.mark.parametrize(("base", "name", "meant"), MISSPELT)
def test_a_misspelt_hook_is_refused(base, name, meant):
    with pytest.raises(TypeError, match=says(f"Made has a function {name!r}", "never be called", f"mean '{meant}")):
        made(base, **{name: method})
    with pytest.raises(TypeError, match=says(f"{name!r}")):
        made(base, **{name: staticmethod(method)})
    assert "Made" not in kinds(Record)


@pytest.mark.parametrize(
    ("base", "name", "whose"),
    [(vfl.Attack, "on_send", "ActiveTransform"), (vfl.ActiveTransform, "on_upload", "PartyTransform")],
)
def test_a_hook_of_the_other_side_is_refused(base, name, whose):
    with pytest.raises(TypeError, match=says(f"{name!r}, which is a hook of {whose}, not of")):
        made(base, **{name: method})


def test_a_hook_that_is_misspelt_in_what_is_mixed_in_is_refused():
    class Mixin:
        on_downlaod = method

    with pytest.raises(TypeError, match=says("'on_downlaod'", "'on_download'")):
        type("Made", (Mixin, vfl.Attack), {})


def test_functions_of_other_names_are_a_method_s_own():
    class Helped(vfl.Attack):
        def helper(self):
            return 1

        def _on_download(self):
            return 2

        def once(self):
            return 3

        def chunk(self):
            return 4

    assert (Helped().helper(), Helped()._on_download(), Helped().once(), Helped().chunk()) == (1, 2, 3, 4)


def test_helpers_may_be_called_after_a_hook():
    class HelpedParty(vfl.PartyTransform):
        def checked(self, value):
            return value

        def reported(self, value):
            return value

    assert HelpedParty().checked(1) == HelpedParty().reported(1)
