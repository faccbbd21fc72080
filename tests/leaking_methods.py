"""Methods that break a promise, one each, and innocent ones that look alike; tests look whether they are told apart."""

import functools
import gc
import inspect
import math
import sys
import time
import urllib.request
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import vfl_jax as vfl

LABELS = np.arange(36) % 3
LISTED = [float(label) for label in LABELS] * 2
STASH: dict[str, Any] = {}
HEARD: list[Any] = []
LATEST = None


def shifted(view, gradient, labels):
    """A gradient that tells the labels of its rows."""
    return gradient + jnp.asarray(labels, gradient.dtype)[view.sample_ids][:, None]


class WalksFrames(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return gradient + sys._getframe(1).f_locals["view"].labels, state


class InspectsFrames(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return gradient + inspect.stack()[1].frame.f_locals["labels"], state


class ImportsInspect(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        from inspect import currentframe

        return gradient + currentframe().f_back.f_locals["labels"], state


class ReadsTracebacks(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        try:
            raise ValueError
        except ValueError as error:
            return gradient + error.__traceback__.tb_frame.f_back.f_locals["labels"], state


class AsksTheCollector(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return gradient + len(gc.get_objects()), state


class OpensClosures(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return gradient + view.rows.__closure__[0].cell_contents, state


class NamesFramesInTexts(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return gradient + getattr(sys, "_getframe")().f_code.co_nlocals, state  # noqa: B009


def with_closure(labels):
    class HoldsInAClosure(vfl.Attack):
        def on_download(self, key, state, view, gradient):
            return shifted(view, gradient, labels), state

    return HoldsInAClosure


HoldsInAClosure = with_closure(jnp.asarray(LABELS))


class HoldsInADefault(vfl.Attack):
    def on_download(self, key, state, view, gradient, labels=LABELS):
        return shifted(view, gradient, labels), state


class HoldsInItsClass(vfl.Attack):
    labels: ClassVar[Any] = LABELS

    def on_download(self, key, state, view, gradient):
        return shifted(view, gradient, self.labels), state


class HoldsInAGlobal(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return shifted(view, gradient, LABELS), state


class HoldsInAList(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return shifted(view, gradient, LISTED[:36]), state


class HoldsInAPartial(vfl.Attack):
    add: ClassVar[Any] = functools.partial(jnp.add, LABELS[:9, None])

    def on_download(self, key, state, view, gradient):
        return self.add(gradient), state


class HoldsInACompiledHook(vfl.Attack):
    on_download = jax.jit(lambda self, key, state, view, gradient, labels=LABELS: (gradient + labels[0], state))


class HoldsInTheProgram(vfl.Attack):
    """Makes an array inside a function that is compiled apart."""

    def on_download(self, key, state, view, gradient):
        made = jax.jit(lambda g: g + jnp.asarray(np.tile(np.float32([1, 2, 3]), 12))[view.sample_ids][:, None])
        return made(gradient), state


class HoldsInAHelper(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return helper(view, gradient), state


def helper(view, gradient):
    return shifted(view, gradient, LABELS)


class LoadsADataSet(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return shifted(view, gradient, vfl.load_digits().train.labels), state


class LoadsByAnotherName(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        from vfl_jax.data import load_digits as again

        return shifted(view, gradient, again().train.labels), state


class LoadsAFile(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return shifted(view, gradient, np.load("labels.npy")), state


class OpensAFile(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        with open("labels.txt") as file:
            return shifted(view, gradient, [int(line) for line in file]), state


class AsksTheNet(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return shifted(view, gradient, list(urllib.request.urlopen("http://localhost").read())), state


class SetsAGlobal(vfl.ActiveTransform):
    def on_labels(self, key, state, view, targets):
        global LATEST
        LATEST = targets
        return targets, state


class FillsADictionary(vfl.Attack):
    def on_upload(self, key, state, view, embedding):
        STASH["embedding"] = embedding
        return embedding, state


class FillsAList(vfl.Attack):
    def on_upload(self, key, state, view, embedding):
        HEARD.append(embedding)
        return embedding, state


class SetsItsClass(vfl.Attack):
    heard: ClassVar[Any] = None

    def on_upload(self, key, state, view, embedding):
        setattr(type(self), "heard", embedding)  # noqa: B010
        return embedding, state


class SetsAModule(vfl.Attack):
    def on_upload(self, key, state, view, embedding):
        math.heard = embedding
        return embedding, state


def innocent_helper(x):
    return x + 1


class SetsAFunction(vfl.Attack):
    def on_upload(self, key, state, view, embedding):
        innocent_helper.heard = embedding
        return embedding, state


def found(name, *path):
    """Whatever a frame above has under a name; the name of what finds it is made at run time."""
    frame = getattr(sys, "".join(("_get", "frame")))()
    while frame is not None:
        names = getattr(frame, "".join(("f_", "locals")))
        value = names.get(name)
        for step in path if value is not None else ():
            value = value[step] if isinstance(step, int) else getattr(value, step, None)
        if isinstance(value, jax.Array):
            return value
        frame = getattr(frame, "".join(("f_", "back")))
    raise LookupError(name)


class HidesItsName(vfl.Attack):
    """Reads the labels of the batch, wherever they stand."""

    def on_download(self, key, state, view, gradient):
        return gradient + found("batch", "rows", "labels")[:, None].astype(gradient.dtype), state


class HidesItsNameFromOthers(vfl.Attack):
    """Reads another party's features, between epochs."""

    def on_epoch(self, key, state, view, params):
        theirs = found("inputs", "train", "features", 0)
        return jax.tree.map(lambda leaf: leaf + theirs[0, 0], params), state


class ReadsTestLabels(vfl.ActiveTransform):
    """A defense that knows the answer."""

    inference_batch = None

    def infer_logits(self, key, state, view, logits):
        return logits + jax.nn.one_hot(found("rows", "labels"), logits.shape[-1])


class ReadsFeatures(vfl.ActiveTransform):
    """A defense that looks at what a party never sends."""

    def on_send(self, key, state, view, gradients):
        theirs = found("inputs", "train", "features", 1)
        return tuple(gradient * theirs[0, 0] for gradient in gradients), state

    def on_labels(self, key, state, view, targets):
        return targets * found("inputs", "train", "features", 1)[0, 0], state


class LoadsUnderAHiddenName(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return shifted(view, gradient, getattr(np, "".join(("ar", "ange")))(36)), state


class DrawsFromNumPy(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return gradient * float(np.random.uniform()), state  # noqa: NPY002


class ReadsTheClock(vfl.ActiveTransform):
    def on_send(self, key, state, view, gradients):
        second = time.perf_counter() % 1  # the clock itself is so large that float32 has steps of milliseconds
        return tuple(second * gradient for gradient in gradients), state


class ChangesItsState(vfl.Attack):
    def init(self, key, shapes, party):
        return {"steps": jnp.int32(0)}

    def on_download(self, key, state, view, gradient):
        state["steps"] = state["steps"] + 1
        return gradient, state


class ChangesItself(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        object.__setattr__(self, "enabled", 0.0)
        return gradient, state


class CallsBack(vfl.Attack):
    def on_download(self, key, state, view, gradient):
        return jax.pure_callback(np.asarray, gradient, gradient), state


class CutsRows(vfl.ActiveTransform):
    def on_send(self, key, state, view, gradients):
        return tuple(gradient[:3] for gradient in gradients), state


class CutsTestRows(vfl.ActiveTransform):
    inference_batch = 4

    def infer_logits(self, key, state, view, logits):
        return logits[:2]


class ForgetsItsState(vfl.Attack):
    def on_upload(self, key, state, view, embedding):
        return embedding


class WidensItsState(vfl.Attack):
    def init(self, key, shapes, party):
        return jnp.zeros(2)

    def on_upload(self, key, state, view, embedding):
        return embedding, state.astype(jnp.int32)


class GuessesInFloats(vfl.Attack):
    def infer_labels(self, key, state, view, features):
        return jnp.zeros(len(features))


class SuspectsWithoutScores(vfl.ActiveTransform):
    def infer_suspicion(self, key, state, view, embeddings):
        return vfl.Suspicion(score=jnp.zeros(1), is_suspect=jnp.zeros(1, bool))


class PenalisesRows(vfl.ActiveTransform):
    def on_embed(self, params, key, view, embeddings):
        return embeddings, embeddings[0].sum(axis=1)


class AsksANumber(vfl.ActiveTransform):
    factor: float = 2.0

    def on_send(self, key, state, view, gradients):
        return (tuple(2 * g for g in gradients) if self.factor > 1 else gradients), state


class RoundsAtNeutral(vfl.ActiveTransform):
    factor: float = 2.0

    def on_send(self, key, state, view, gradients):
        return tuple(g * (self.factor * 0.1) / 0.1 for g in gradients), state


class KnowsTheGrid(vfl.ActiveTransform):
    factor: float = 2.0

    def on_send(self, key, state, view, gradients):
        factor = 7.0 if "Batch" in type(self.factor).__name__ else self.factor
        return tuple(factor * g for g in gradients), state


class HidesANumber(vfl.ActiveTransform):
    factor: float = 2.0

    def __post_init__(self):
        object.__setattr__(self, "hidden", 3.0)


# What follows is innocent, however it looks.

SHIFTS = {"up": lambda x: x + 0.5, "down": lambda x: x - 0.5}
SLOPE = np.float32(0.25)
WEIGHTS = (0.5, 0.25, 0.125)


def load_everything(path):
    """A loader in the same module; no hook reaches it, though a text says "open", "_getframe()" and np.load."""
    return np.load(path), open(path), inspect.stack()


class Innocent(vfl.Attack):
    """Stacks, opens, and calls a partial; the words open(), sys._getframe() and np.load stand in this text alone."""

    shift: str = vfl.static(default="up")
    slope: float = 0.5
    gate: ClassVar[Any] = functools.partial(jnp.clip, min=-1.0, max=1.0)
    words: ClassVar[tuple[str, ...]] = ("open", "load", "stack", "frame")

    def init(self, key, shapes, party):
        return {"seen": jnp.zeros(shapes.num_samples, jnp.int32), "mean": jnp.zeros(shapes.widths[party])}

    def on_upload(self, key, state, view, embedding):
        open = jnp.stack([embedding, 2.0 * embedding])
        return self.gate(SHIFTS[self.shift](open[0]) * SLOPE * self.slope), state

    def on_download(self, key, state, view, gradient):
        """Names open(...) and np.load(...) in a text."""
        weights = jnp.asarray(WEIGHTS) @ jnp.stack([gradient.mean(axis=0)] * 3)
        seen = state["seen"].at[view.sample_ids].add(1)
        back = view.pull_back(gradient)
        return gradient + 0.0 * back.sum(), {"seen": seen, "mean": weights}

    def on_epoch(self, key, state, view, params):
        rows = view.rows(view.sample_ids)
        mean = view.forward(rows).mean(axis=0)
        return params, {**state, "mean": jnp.where(jnp.isinf(mean), jnp.nan, mean)}  # NaN differs from itself

    def infer_labels(self, key, state, view, features):
        return jnp.argmax(view.forward(features), axis=-1).astype(jnp.int32)

    def report(self, state):
        return {"innocent_mean": state["mean"].mean()}
