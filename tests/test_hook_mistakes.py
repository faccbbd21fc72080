"""A mistake in a hook ends in a message, or in a note behind it, that names the method and the hook."""

import re
import traceback

import jax
import jax.numpy as jnp
import pytest
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax import ActiveTransform, Attack, PartyChain, PartyTransform, run
from vfl_jax.attacks import GradientReplacement

DATA, KEY = tiny_data(), jax.random.key(3)


class ReturnsNoState(Attack):
    def on_upload(self, key, state, view, embedding):
        return embedding


class ReturnsThree(Attack):
    def on_download(self, key, state, view, gradient):
        return gradient, state, 0


class CutsTheMessage(PartyTransform):
    def on_upload(self, key, state, view, embedding):
        return embedding[:, :1], state


class SendsWholeNumbers(ActiveTransform):
    def on_send(self, key, state, view, gradients):
        return tuple(gradient.astype(jnp.int32) for gradient in gradients), state


class GrowsItsState(ActiveTransform):
    def init(self, key, shapes):
        return jnp.zeros(2)

    def on_labels(self, key, state, view, targets):
        return targets, jnp.concatenate([state, state])


class ReturnsFewerRows(ActiveTransform):
    def infer_logits(self, key, state, view, logits):
        return logits[:, :2]


RETURNED = {
    "no pair": (ReturnsNoState(), ("ReturnsNoState.on_upload returns", "it must return (embedding, state)")),
    "three": (ReturnsThree(), ("ReturnsThree.on_download returns a tuple of 3", "(gradient, state)")),
    "shape": (CutsTheMessage(), ("CutsTheMessage.on_upload returns an embedding with float32[8, 1]", "float32[8, 3]")),
    "dtype": (SendsWholeNumbers(), ("SendsWholeNumbers.on_send returns gradients with int32", "float32[8, 3]")),
    "state": (GrowsItsState(), ("GrowsItsState.on_labels returns a state with float32[4]", "float32[2]")),
    "inference": (ReturnsFewerRows(), ("ReturnsFewerRows.infer_logits returns logits with float32[", "2]", "3]")),
}


class DividesByZero(Attack):
    def on_upload(self, key, state, view, embedding):
        return embedding / (1 // 0), state


class Branches(ActiveTransform):
    def on_send(self, key, state, view, gradients):
        if gradients[0].sum() > 0:
            state = 2 * state
        return gradients, state


class CannotBegin(ActiveTransform):
    def init(self, key, shapes):
        raise KeyError("nothing")


class CannotInfer(Attack):
    def infer_upload(self, key, state, view, embedding):
        return embedding @ jnp.ones((7, 7))


RAISED = {
    "an error of Python": (DividesByZero(), ZeroDivisionError, "DividesByZero.on_upload"),
    "a branch": (Branches(), jax.errors.TracerBoolConversionError, "Branches.on_send"),
    "before training": (CannotBegin(), KeyError, "CannotBegin.init"),
    "at inference": (CannotInfer(), TypeError, "CannotInfer.infer_upload"),
    "in a chain": (PartyChain(parts=[GradientReplacement(), DividesByZero()]), ZeroDivisionError, "DividesByZero.on"),
}


def trained_with(method):
    """Trains one epoch with the method at the last party, or at the active party."""
    is_of_a_party = isinstance(method, PartyTransform)
    place = {"attacks": (PartyTransform(), method)} if is_of_a_party else {"defense": method}
    return run(tiny_scenario(**place), DATA, KEY, 1)


@pytest.mark.parametrize("case", RETURNED)
def test_what_a_hook_returns_wrongly_is_said(case):
    method, message = RETURNED[case]
    with pytest.raises(ValueError, match=says(*message)):
        trained_with(method)


@pytest.mark.parametrize("case", RAISED)
def test_an_error_in_a_hook_ends_with_method_and_hook(case):
    method, kind, hook = RAISED[case]
    with pytest.raises(kind) as caught:
        trained_with(method)
    notes = [note for note in caught.value.__notes__ if note.startswith("This error comes from")]
    assert len(notes) == 1  # of a chain the part alone
    assert hook in notes[0]
    assert "test_hook_mistakes" in notes[0]  # the module
    printed = "".join(traceback.format_exception(caught.value)).splitlines()
    assert any(hook in line for line in printed[-8:])
    assert ("jnp.where instead of if" in notes[0]) == (case == "a branch")


class ReturnsNothing(ActiveTransform):
    def infer_logits(self, key, state, view, logits):
        pass


class ReturnsAPair(Attack):
    def infer_upload(self, key, state, view, embedding):
        return embedding, state


class ReturnsOneGradient(ActiveTransform):
    def on_send(self, key, state, view, gradients):
        return gradients[0], state


class DoublesTheTuple(ActiveTransform):
    def on_send(self, key, state, view, gradients):
        return gradients * 2, state


class BeginsWithText(Attack):
    def init(self, key, shapes, party):
        return {"seen": "nothing"}


OF_ANOTHER_KIND = {
    "nothing": (ReturnsNothing(), ("ReturnsNothing.infer_logits returns None for logits", "float32[", "3]")),
    "a pair": (
        ReturnsAPair(),
        ("ReturnsAPair.infer_upload returns a tuple of 2 for an embedding", "float32["),
    ),
    "one of several": (
        ReturnsOneGradient(),
        ("ReturnsOneGradient.on_send returns float32[8, 3] for gradients", "a tuple of 2 × float32[8, 3]"),
    ),
    "twice as many": (DoublesTheTuple(), ("DoublesTheTuple.on_send returns a tuple of 4", "a tuple of 2 ×")),
    "a text": (BeginsWithText(), ("BeginsWithText.init", "returns a state with 'nothing' at ['seen']", "arrays")),
}


@pytest.mark.parametrize("case", OF_ANOTHER_KIND)
def test_what_is_of_another_kind_is_told_from_outside(case):
    method, message = OF_ANOTHER_KIND[case]
    with pytest.raises(ValueError, match=says(*message)):
        trained_with(method)


class LooksForLabels(Attack):
    def on_upload(self, key, state, view, embedding):
        return embedding * view.labels[:, None], state


class KeepsByItself(Attack):
    def on_upload(self, key, state, view, embedding):
        self.seen = embedding
        return embedding, state


@pytest.mark.parametrize(
    ("method", "kind", "words"),
    [
        (LooksForLabels(), AttributeError, ("LooksForLabels.on_upload", "The view has", "features", "cannot see")),
        (KeepsByItself(), AttributeError, ("KeepsByItself.on_upload", "keeps nothing but its state")),
    ],
)
def test_a_note_says_what_a_view_has_and_where_a_method_keeps_things(method, kind, words):
    with pytest.raises(kind) as caught:
        trained_with(method)
    (note,) = [note for note in caught.value.__notes__ if note.startswith("This error comes from")]
    assert re.search(says(*words), note)


def test_a_hook_that_cannot_be_called_is_an_error_of_its_class():
    words = "TakesTheMessage.on_upload takes (self, embedding); it is given (self, key, state, view, embedding)."
    with pytest.raises(TypeError, match=re.escape(words)):

        class TakesTheMessage(Attack):
            def on_upload(self, embedding):
                return embedding

    with pytest.raises(TypeError, match=r"TakesNoParty\.init takes \(self, key, shapes\)"):

        class TakesNoParty(Attack):
            def init(self, key, shapes):
                return ()

    class NamesThemOtherwise(Attack):
        def on_upload(self, k, s, v, h, more=None):
            return h, s

    assert NamesThemOtherwise()
