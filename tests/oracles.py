"""Plain, slow, obvious NumPy twins of every attack and defense: one object with state, loops over rows.

Written from the algorithms' text; nothing here is shared with the package.
"""

import dataclasses

import numpy as np

ORDINARY, POISON, TARGET = 0, 1, 2


@dataclasses.dataclass
class Grant:
    """What the attacker was told: sets of row ids, or that an appended pair is told by its roles."""

    poison: frozenset = frozenset()
    target: frozenset = frozenset()
    target_class: int = 0
    by_role: bool = False
    blur: np.ndarray | None = None

    def is_poison(self, sample_id, role):
        return role == POISON if self.by_role else int(sample_id) in self.poison

    def is_target(self, sample_id, role):
        return role == TARGET if self.by_role else int(sample_id) in self.target


class GradientReplacement:
    """Record first, over all rows; then replace. ``heard`` has what was recorded, a row per batch, the latest last."""

    def __init__(self, grant, width, amplify, decay=0.0):
        self.grant, self.amplify, self.decay = grant, amplify, decay
        self.heard, self.recorded = [], np.zeros(width, np.float32)

    def on_download(self, ids, roles, gradient):
        told = [gradient[row] for row in range(len(ids)) if self.grant.is_target(ids[row], roles[row])]
        if told:
            self.heard.append(told[-1])
            ages = np.arange(len(self.heard))[::-1]
            shares = np.where(ages < ages.max(), 1 - self.decay, 1.0) * np.float64(self.decay) ** ages
            self.recorded = (shares @ np.stack(self.heard).astype(np.float64)).astype(np.float32)
        out = gradient.copy()
        for row in range(len(ids)):
            if self.grant.is_poison(ids[row], roles[row]):
                out[row] = np.float32(self.amplify) * self.recorded
        return out


class ActivationBlurring:
    """``draws`` are the normal draws of the step, [B, E], already times the standard deviation."""

    def __init__(self, grant, kind, wait_for_target):
        self.grant, self.kind, self.wait_for_target = grant, kind, wait_for_target
        self.target_seen = False

    def on_upload(self, ids, roles, embedding, draws):
        out = embedding.copy()
        for row in range(len(ids)):
            if self.kind == "none" or not self.grant.is_poison(ids[row], roles[row]):
                continue
            if self.wait_for_target and not self.target_seen:
                continue
            if self.kind == "zero":
                out[row] = 0.0
            elif self.kind == "gaussian":
                out[row] = draws[row]
            elif self.kind == "given":
                out[row] = self.grant.blur[ids[row]]
        # Only now: a target row of this very batch has no recorded gradient yet.
        for row in range(len(ids)):
            if self.grant.is_target(ids[row], roles[row]):
                self.target_seen = True
        return out


class LabelReader:
    """Who hears a row's messages one after another and says of which label it is, or that it cannot tell.

    Keeps every message; what each kind of evidence means is worked out from the whole list whenever it is asked.
    """

    def __init__(self, kind):
        self.kind, self.heard = kind, {}

    def hear(self, sample_id, message):
        self.heard.setdefault(int(sample_id), []).append(np.asarray(message, np.float64))

    def says(self, message):
        """Silence, and what is not finite, tells nothing; a last message must have a negative entry."""
        return bool(np.isfinite(message).all() and (min(message) < 0 if self.kind == "last" else np.any(message)))

    def label(self, sample_id, others=()):
        """Where nothing that was heard speaks for a label, there is none."""
        told = [m for m in (*self.heard.get(int(sample_id), []), *others) if self.says(m)]
        if self.kind == "last":
            told = told[-1:]
        weights = [1 / np.sqrt(k) if self.kind == "fading" else 1.0 for k in range(1, len(told) + 1)]
        if self.kind == "directions":
            weights = [1 / np.linalg.norm(m) for m in told]
        total = sum((w * m for w, m in zip(weights, told, strict=True)), np.zeros(1))
        return int(np.argmin(total)) if min(total) < 0 else -1


class LabelReplacement:
    """Takes the label that was read out of a poisoned row's gradient and puts τ in; what says nothing stays so."""

    def __init__(self, grant, num_samples, row_weight, kind="last"):
        self.grant, self.row_weight, self.num_samples = grant, np.float32(row_weight), num_samples
        self.kind, self.reader = kind, LabelReader(kind)

    @property
    def label_guesses(self):
        return np.array([self.reader.label(i) for i in range(self.num_samples)], np.int32)

    def on_download(self, ids, roles, gradient):
        for row in range(len(ids)):
            if roles[row] == ORDINARY:
                self.reader.hear(ids[row], gradient[row])
        out = gradient.copy()
        for row in range(len(ids)):
            if not self.grant.is_poison(ids[row], roles[row]):
                continue
            alone = LabelReader(self.kind)  # an appended row is none of the training rows: only its own message counts
            label = self.reader.label(ids[row]) if roles[row] == ORDINARY else alone.label(0, [gradient[row]])
            if label >= 0 and alone.says(gradient[row]):
                out[row, label] += self.row_weight
                out[row, self.grant.target_class] -= self.row_weight
        return out


class PairedReplacement:
    def __init__(self, grant, amplify):
        self.grant, self.amplify = grant, amplify

    def _pair(self, ids, roles):
        poison = [row for row in range(len(ids)) if self.grant.is_poison(ids[row], roles[row])]
        target = [row for row in range(len(ids)) if self.grant.is_target(ids[row], roles[row])]
        assert len(poison) == 1
        assert len(target) == 1
        return poison[0], target[0]

    def on_upload(self, ids, roles, embedding):
        poison, target = self._pair(ids, roles)
        out = embedding.copy()
        out[target] = embedding[poison]
        return out

    def on_download(self, ids, roles, gradient):
        poison, target = self._pair(ids, roles)
        out = gradient.copy()
        out[poison] = np.float32(self.amplify) * gradient[target]
        out[target] = 0.0
        return out


class ActiveBackdoor:
    def __init__(self, grant):
        self.grant = grant

    def on_labels(self, ids, roles, targets):
        out = targets.copy()
        for row in range(len(ids)):
            if self.grant.is_poison(ids[row], roles[row]):
                for label in range(targets.shape[1]):
                    out[row, label] = 1.0 if label == self.grant.target_class else 0.0
        return out


def norm(values):
    """The L2 norm in float64."""
    return float(np.sqrt(sum(float(v) ** 2 for v in np.ravel(values))))


def clip(message, by, bound):
    """One message; the defense does the same to each."""
    out = message.astype(np.float64)
    if by == "value":
        for index, value in np.ndenumerate(out):
            out[index] = min(max(value, -bound), bound)
    elif by == "row_l2":
        for row in range(len(out)):
            size = norm(out[row])
            if size > bound:
                out[row] = out[row] / size * bound
    else:
        largest_row = max(norm(row) for row in out)
        size = norm(out) if by == "message_l2" else largest_row
        if size > bound:
            out = out / size * bound
    return out.astype(np.float32)


def add_noise(message, scale, unit_draws):
    """Noise of a scale; ``unit_draws`` are the step's draws at scale 1."""
    out = message.copy()
    for index, draw in np.ndenumerate(unit_draws):
        out[index] = message[index] + np.float32(scale) * draw
    return out


def quantile(values, rate):
    """Linear interpolation between order statistics."""
    ordered = sorted(float(v) for v in np.ravel(values))
    place = rate * (len(ordered) - 1)
    below = int(np.floor(place))
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


class Sparsification:
    """One message per crossing party; the residual is a dictionary from (party, whose) to a row."""

    def __init__(self, residual, drop_rate):
        self.residual, self.drop_rate = residual, drop_rate
        self.waiting = {}

    def _whose(self, party, row, ids):
        """The name under which a row's residual waits; None where it has none. Nobody tells it who is poisoned."""
        if self.residual == "none":
            return None
        if self.residual == "position":
            return party, row
        return None if ids[row] in list(ids[:row]) else (party, int(ids[row]))

    def on_send(self, ids, messages):
        sent = []
        for party, message in enumerate(messages):
            owners = [self._whose(party, row, ids) for row in range(len(ids))]
            total = message.copy()
            for row, owner in enumerate(owners):
                if owner in self.waiting:
                    total[row] = message[row] + self.waiting[owner]
            threshold = quantile(np.abs(total), self.drop_rate)
            out = np.zeros_like(total)
            for row, owner in enumerate(owners):
                rest = np.zeros_like(total[row])
                for entry in range(total.shape[1]):
                    if abs(float(total[row, entry])) >= threshold:
                        out[row, entry] = total[row, entry]
                    else:
                        rest[entry] = total[row, entry]
                if owner is not None:
                    self.waiting[owner] = rest
            sent.append(out)
        return sent


class LFBA:
    """Messages by row, the poison rows once they are chosen, and the rows that are switched in the next epoch."""

    def __init__(self, num_rows, poison_rate, switch_rate):
        self.num_rows, self.poison_rate, self.switch_rate = num_rows, poison_rate, switch_rate
        self.messages, self.poisons, self.switched = {}, [], []

    def on_download(self, ids, gradient):
        for row, message in zip(ids, gradient, strict=True):
            self.messages[int(row)] = message.astype(np.float64)

    def on_epoch(self, anchor):
        """``anchor`` is the number of a row, or None for the row that the contrast finds."""
        count = round(self.poison_rate * self.num_rows)
        if anchor is None:
            anchor = max(range(self.num_rows), key=lambda row: self._contrast(row, count))
        if not self.poisons and anchor in self.messages:
            ranked = sorted(self.messages, key=lambda row: -self._score(row, anchor))
            self.poisons = ranked[:count]
        hardest = sorted(self.poisons, key=lambda row: -np.sqrt((self.messages[row] ** 2).sum()))
        self.switched = hardest[: round(self.switch_rate * len(self.poisons))]

    def _score(self, row, anchor):
        first, second = self.messages[row], self.messages[anchor]
        return first @ second / (np.abs(first).sum() * np.abs(second).sum())

    def _contrast(self, row, count):
        silent = 0 * next(iter(self.messages.values()))
        rows = [self.messages.get(other, silent) for other in range(self.num_rows)]
        products = sorted((self.messages.get(row, silent) @ other for other in rows), reverse=True)
        return sum(products[:count]) - sum(products[count : 2 * count])


class ModelCompletion:
    """A dense bottom with BatchNorm, ReLU and a dense layer on it, taught by MixMatch; gradients by differences.

    Parameters are a list: the bottom's kernel and bias; scale, shift, kernel and bias of the layer on it.
    """

    def __init__(self, params, learning_rate, temperature, weight, average_decay, weight_decay):
        self.params = [np.asarray(p, np.float64) for p in params]
        self.average = [p.copy() for p in self.params]
        self.first, self.second = ([np.zeros_like(p) for p in self.params] for _ in range(2))
        self.learning_rate, self.temperature, self.weight = learning_rate, temperature, weight
        self.average_decay, self.weight_decay, self.steps = average_decay, weight_decay, 0

    def probabilities(self, x):
        kernel, bias, scale, shift, last, last_bias = self.params
        hidden = x @ kernel + bias
        hidden = (hidden - hidden.mean(0)) / np.sqrt(((hidden - hidden.mean(0)) ** 2).mean(0) + 1e-5)
        powers = np.exp(np.maximum(hidden * scale + shift, 0) @ last + last_bias)
        return powers / powers.sum(1, keepdims=True)

    def loss(self, parts, targets, progress):
        """``parts`` are the mixed rows, known and unknown, as (rows, which batch they go through)."""
        size = len(targets) // 2
        rows, batch = parts
        out = np.empty_like(targets)
        for number in (0, 1):
            out[batch == number] = self.probabilities(rows[batch == number])
        known = -sum(targets[i] @ np.log(out[i]) for i in range(size)) / size
        unknown = ((out[size:] - targets[size:]) ** 2).mean()
        return known + self.weight * progress * unknown

    def step(self, known, labels, unknown, share, order, progress):
        guess = self.probabilities(unknown) ** (1 / self.temperature)
        guess = guess / guess.sum(1, keepdims=True)
        share, size = max(share, 1 - share), len(labels)
        rows = np.concatenate([known, unknown]).astype(np.float64)
        targets = np.concatenate([np.eye(guess.shape[1])[labels], guess])
        rows = np.stack([share * rows[i] + (1 - share) * rows[order[i]] for i in range(2 * size)])
        targets = np.stack([share * targets[i] + (1 - share) * targets[order[i]] for i in range(2 * size)])
        # The first batch has the first half of the known and the second half of the unknown rows.
        half = size // 2
        parts = rows, np.array([0] * half + [1] * (size - half) + [1] * half + [0] * (size - half))
        gradients = [np.zeros_like(p) for p in self.params]
        for param, gradient in zip(self.params, gradients, strict=True):
            for index in np.ndindex(param.shape):
                here, losses = param[index], []
                for change in (1e-6, -1e-6):
                    param[index] = here + change
                    losses.append(self.loss(parts, targets, progress))
                param[index] = here
                gradient[index] = (losses[0] - losses[1]) / 2e-6
        self.steps += 1
        for i, gradient in enumerate(gradients):
            self.first[i] = 0.9 * self.first[i] + 0.1 * gradient
            self.second[i] = 0.999 * self.second[i] + 0.001 * gradient**2
            mean, square = self.first[i] / (1 - 0.9**self.steps), self.second[i] / (1 - 0.999**self.steps)
            moved = self.params[i] - self.learning_rate * mean / (np.sqrt(square) + 1e-8)
            self.average[i] = self.average_decay * self.average[i] + (1 - self.average_decay) * moved
            self.params[i] = moved * (1 - self.weight_decay)
