"""A plain NumPy twin of the whole training loop: slow, obvious, one step and one row after another.

Nothing of the package and nothing of JAX is used here. Every derivative is written out by hand. Whatever is
random (initial parameters, batches, roles of rows, noise, blurring vectors) is passed in as arrays.

It calculates in float64 although the package uses float32: a second float32 program would only add rounding errors
of its own, so that half of a tolerance would be the twin's.

Training has kinks: at a ReLU, at the threshold of a sparsification and at the edge of a probability clip the smallest
difference in rounding decides for a whole row whether it has a gradient. So the twin also returns how near a run
came to any of its kinks (``Outcome.margin``). Where that is beyond rounding every correct program takes the same side
each time; where it is not, the run is no test of anything, and another seed must be taken.

A model is a list of (kernel [in, out], bias [out]) pairs.
"""

import dataclasses

import numpy as np

ORDINARY, POISON, TARGET = 0, 1, 2  # what a row of a batch is, where a pair is appended


# --- models and loss ---------------------------------------------------------------------------------------------


def forward(layers, x, output_relu):
    """Dense layers with ReLU between them: (output, what the way back needs)."""
    inputs, sums = [], []
    for i, (kernel, bias) in enumerate(layers):
        inputs.append(x)
        sums.append(x @ kernel + bias)
        is_last = i == len(layers) - 1
        x = sums[-1] if is_last and not output_relu else np.maximum(sums[-1], 0)
    return x, (inputs, sums)


def backward(layers, tape, gradient, output_relu):
    """From the gradient of the output: (gradient of every kernel and bias, gradient of the input)."""
    inputs, sums = tape
    found = [None] * len(layers)
    for i in reversed(range(len(layers))):
        is_last = i == len(layers) - 1
        if not is_last or output_relu:
            gradient = np.where(sums[i] > 0, gradient, 0)
        found[i] = (inputs[i].T @ gradient, gradient.sum(axis=0))
        gradient = gradient @ layers[i][0].T
    return found, gradient


def cross_entropy(logits, labels, probability_clip):
    """Mean over the batch: (loss, gradient of the logits [B, C], rows predicted right, margin)."""
    num_rows = len(labels)
    loss, gradient, num_correct, margin = 0.0, np.zeros_like(logits), 0, np.inf
    for row, label in enumerate(labels):
        exponentials = np.exp(logits[row] - logits[row].max())
        probabilities = exponentials / exponentials.sum()
        p = probabilities[label]
        num_correct += int(np.argmax(logits[row]) == label)
        if probability_clip is not None:
            low, high = probability_clip, 1 - probability_clip
            margin = min(margin, abs(p - low) / low, abs(p - high) / low)
            if not low <= p <= high:
                # The clipped probability is a constant: a loss, but no gradient.
                loss -= np.log(np.clip(p, low, high))
                continue
        loss -= np.log(p)
        gradient[row] = probabilities
        gradient[row, label] -= 1
    return loss / num_rows, gradient / num_rows, num_correct, margin


def nearest_kink(layers, tape, output_relu):
    """The smallest size of a sum that a ReLU is applied to."""
    gated = tape[1] if output_relu else tape[1][: len(layers) - 1]
    return min((np.abs(sums).min() for sums in gated), default=np.inf)


# --- attacks: what a party sends, and what it uses of what it gets ----------------------------------------------


class Honest:
    def upload(self, step, ids, roles, embedding):
        return embedding

    def download(self, step, ids, roles, gradient):
        return gradient


class Replacement(Honest):
    """Gradient replacement, and blurring with ``blur(step, ids)`` -> vectors [B, E] (None: no blurring)."""

    def __init__(self, is_poison, is_target, amplify, blur=None, wait_for_target=True):
        self.is_poison, self.is_target = is_poison, is_target
        self.amplify, self.blur, self.wait_for_target = amplify, blur, wait_for_target
        self.target_seen = False
        self.recorded = 0.0

    def upload(self, step, ids, roles, embedding):
        sent = embedding.copy()
        if self.blur is not None and (self.target_seen or not self.wait_for_target):
            vectors = self.blur(step, ids)
            for row, i in enumerate(ids):
                if self.is_poison[i]:
                    sent[row] = vectors[row]
        for i in ids:
            if self.is_target[i]:
                self.target_seen = True
        return sent

    def download(self, step, ids, roles, gradient):
        for row, i in enumerate(ids):
            if self.is_target[i]:
                self.recorded = gradient[row].copy()
        used = gradient.copy()
        for row, i in enumerate(ids):
            if self.is_poison[i]:
                used[row] = self.amplify * self.recorded
        return used


class PairedReplacement(Honest):
    """The follow-up's attack on the pair that is appended to every batch."""

    def __init__(self, amplify):
        self.amplify = amplify

    def upload(self, step, ids, roles, embedding):
        sent = embedding.copy()
        sent[list(roles).index(TARGET)] = embedding[list(roles).index(POISON)]
        return sent

    def download(self, step, ids, roles, gradient):
        poison, target = list(roles).index(POISON), list(roles).index(TARGET)
        used = gradient.copy()
        used[poison] = self.amplify * gradient[target]
        used[target] = 0
        return used


# --- defenses: what becomes of the messages that leave the active party -----------------------------------------


class Defense:
    margin = np.inf  # how near two entries came to each other between which a threshold lies, relative to it


class Noise(Defense):
    """Adds level · draws, ``draws`` [T, crossing parties, B, E]."""

    def __init__(self, level, draws):
        self.level, self.draws = level, draws

    def send(self, step, ids, roles, messages):
        return [message + self.level * self.draws[step][i] for i, message in enumerate(messages)]


class Clip(Defense):
    def __init__(self, by, bound):
        self.by, self.bound = by, bound

    def send(self, step, ids, roles, messages):
        return [self.clip(message) for message in messages]

    def clip(self, message):
        if self.by == "value":
            return np.minimum(np.maximum(message, -self.bound), self.bound)
        norms = [np.sqrt((row**2).sum()) for row in message]
        if self.by == "row_l2":
            return np.stack([row / max(1.0, norm / self.bound) for row, norm in zip(message, norms, strict=True)])
        norm = {"message_l2": np.sqrt((message**2).sum()), "largest_row_l2": max(norms)}[self.by]
        return message / max(1.0, norm / self.bound)


class Sparsify(Defense):
    """Sends the entries at or above a quantile; ``residual`` is "position", "sample" or "none"."""

    def __init__(self, residual, drop_rate):
        self.residual, self.drop_rate = residual, drop_rate
        self.waiting = {}  # (party, place or sample id) -> what was not sent yet, [E]

    def send(self, step, ids, roles, messages):
        return [self.send_one(party, list(ids), message) for party, message in enumerate(messages)]

    def send_one(self, party, ids, message):
        owners = [self.owner(party, row, ids) for row in range(len(ids))]
        total = message.copy()
        for row, owner in enumerate(owners):
            if owner in self.waiting:
                total[row] = total[row] + self.waiting[owner]
        threshold, gap = quantile(np.abs(total), self.drop_rate)
        if threshold > 0:  # otherwise most entries are exact zeros, and everything is sent
            self.margin = min(self.margin, gap / threshold)
        sent = np.zeros_like(total)
        for row, owner in enumerate(owners):
            is_sent = np.abs(total[row]) >= threshold
            sent[row] = np.where(is_sent, total[row], 0)
            if owner is not None:
                self.waiting[owner] = np.where(is_sent, 0, total[row])
        return sent

    def owner(self, party, row, ids):
        """Whose residual it is: nobody's where an earlier row of the batch is of the same sample."""
        if self.residual == "position":
            return party, row
        return (party, int(ids[row])) if self.residual == "sample" and ids[row] not in ids[:row] else None


def quantile(values, rate):
    """Linear interpolation between the two order statistics around place rate · (n − 1): (it, their distance)."""
    ordered = np.sort(values.ravel())
    place = rate * (len(ordered) - 1)
    below = int(np.floor(place))
    above = min(below + 1, len(ordered) - 1)
    gap = ordered[above] - ordered[below]
    return ordered[below] + (place - below) * gap, gap


# --- the loop ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Outcome:
    losses: np.ndarray  # float[epochs]  mean over the steps
    train_accuracies: np.ndarray  # float[epochs]
    parties: list
    head: list
    margin: float  # how near the run came to a kink


def train(
    parties,
    head,
    features,
    labels,
    batches,
    roles,
    attacks,
    defenses=(),
    *,
    active_party=None,
    output_relu=True,
    probability_clip=None,
    learning_rate=0.01,
    weight_decay=0.0,
    epoch_decay=1.0,
    dtype=np.float64,
):
    """Trains.

    Args:
      parties, head: initial models; an empty head adds the embeddings up.
      features: one array [N, F] per party, triggers stamped already.
      batches, roles: int[epochs, T, B].
      attacks: one per party; defenses: applied in order to all messages but the active party's own.
    """
    parties = [[(k.astype(dtype), b.astype(dtype)) for k, b in layers] for layers in parties]
    head = [(k.astype(dtype), b.astype(dtype)) for k, b in head]
    features = [x.astype(dtype) for x in features]
    crossing = [k for k in range(len(parties)) if k != active_party]
    losses, accuracies = [], []
    step, margin = 0, np.inf
    for epoch in range(len(batches)):
        rate = learning_rate * epoch_decay**epoch
        epoch_losses, epoch_correct = [], 0
        for ids, kinds in zip(batches[epoch], roles[epoch], strict=True):
            embeddings, tapes = [], []
            for k, layers in enumerate(parties):
                embedding, tape = forward(layers, features[k][ids], output_relu)
                embeddings.append(embedding)
                tapes.append(tape)
                margin = min(margin, nearest_kink(layers, tape, output_relu))
            received = [attacks[k].upload(step, ids, kinds, e) for k, e in enumerate(embeddings)]

            joined = np.concatenate(received, axis=1)
            logits, head_tape = forward(head, joined, False) if head else (sum(received), None)
            loss, gradient, num_correct, clip_margin = cross_entropy(logits, labels[ids], probability_clip)
            margin = min(margin, clip_margin, nearest_kink(head, head_tape, False) if head else np.inf)
            if head:
                head_gradient, gradient = backward(head, head_tape, gradient, False)
                widths = np.cumsum([e.shape[1] for e in received])[:-1]
                messages = np.split(gradient, widths, axis=1)
            else:
                head_gradient, messages = [], [gradient] * len(parties)
            for defense in defenses:
                defended = defense.send(step, ids, kinds, [messages[k] for k in crossing])
                messages = [defended[crossing.index(k)] if k in crossing else m for k, m in enumerate(messages)]

            for k, layers in enumerate(parties):
                used = attacks[k].download(step, ids, kinds, messages[k])
                party_gradient, _ = backward(layers, tapes[k], used, output_relu)
                parties[k] = descend(layers, party_gradient, rate, weight_decay)
            head = descend(head, head_gradient, rate, weight_decay)
            epoch_losses.append(loss)
            epoch_correct += num_correct
            step += 1
        losses.append(np.mean(epoch_losses))
        accuracies.append(epoch_correct / batches[epoch].size)
    margin = min([margin, *(defense.margin for defense in defenses)])
    return Outcome(np.array(losses), np.array(accuracies), parties, head, margin)


def descend(layers, gradients, rate, weight_decay):
    """One step of SGD; weight decay is added to the gradient."""
    return [
        tuple(p - rate * (g + weight_decay * p) for p, g in zip(layer, gradient, strict=True))
        for layer, gradient in zip(layers, gradients, strict=True)
    ]
