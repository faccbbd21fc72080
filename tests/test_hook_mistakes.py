"""A mistake in a hook ends in a message, or in a note behind it, that names the method and the hook."""

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
