"""Plain, slow NumPy twins of the attacks whose trigger lives in the embedding, written from their papers' rules."""

import math

import numpy as np


def correlation(first, second):
    """Pearson's correlation of two rows; 0 where one of them is constant."""
    first, second = first - first.mean(), second - second.mean()
    size = math.sqrt((first**2).sum() * (second**2).sum())
    return 0.0 if size == 0 else float((first * second).sum()) / size


def basl_trigger(rows, num_kept, bandwidth, scale):
    """The vector that BASL sends, from the embeddings of its auxiliary rows."""
    rows = [np.asarray(row, np.float64) for row in rows]
    sums = [sum(correlation(row, other) for other in rows) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: -sums[i])
    kept, point = [rows[i] for i in order[:num_kept]], rows[order[0]]
    while True:
        weights = [math.exp(-((point - row) ** 2).sum() / (2 * bandwidth**2)) for row in kept]
        after = sum(w * row for w, row in zip(weights, kept, strict=True)) / sum(weights)
        moved, point = math.dist(point, after), after
        if moved < 1e-9:
            break
    longest = max(math.sqrt((row**2).sum()) for row in rows)
    return scale * longest * point / math.sqrt((point**2).sum())


def villain_trigger(deviation, share, magnitude):
    """Two coordinates up, two down, and so on, along those that vary most."""
    count = round(share * len(deviation), 6) // 1
    marked = sorted(sorted(range(len(deviation)), key=lambda j: -deviation[j])[: int(count)])
    size = magnitude * sum(deviation[j] for j in marked) / max(len(marked), 1)
    trigger = np.zeros(len(deviation))
    for place, j in enumerate(marked):
        trigger[j] = size if place % 4 in (0, 1) else -size
    return trigger


class Adam:
    """Kingma and Ba's algorithm on a list of arrays."""

    def __init__(self, rate, like):
        self.rate, self.count = rate, 0
        self.first, self.second = [0 * x for x in like], [0 * x for x in like]

    def step(self, values, gradients):
        self.count += 1
        for i, gradient in enumerate(gradients):
            self.first[i] = 0.9 * self.first[i] + 0.1 * gradient
            self.second[i] = 0.999 * self.second[i] + 0.001 * gradient**2
            mean, square = self.first[i] / (1 - 0.9**self.count), self.second[i] / (1 - 0.999**self.count)
            values[i] = values[i] - self.rate * mean / (np.sqrt(square) + 1e-8)
        return values


class Villain:
    """The attack with a factor of 1 and no dropout, so that nothing is drawn.

    Args:
      attack: whose numbers it takes.
      known: the target rows.
      width: E.
      row_weight: the weight of one row's loss.
      window: the number of batches in the fading mean of variances.
    """

    def __init__(self, attack, known, width, row_weight, window):
        self.attack, self.known, self.row_weight, self.window = attack, known, row_weight, window
        self.variance, self.batches, self.target, self.signs = np.zeros(width), 0, None, None
        self.norm_of, self.tested, self.found = {}, set(), set()
        self.classifier = [np.zeros(width), np.zeros(())]
        self.adam = Adam(0.01, self.classifier)

    def score(self, row):
        return 1 / (1 + math.exp(-float(row @ self.classifier[0] + self.classifier[1])))

    def trigger(self):
        """The direction of the first poisoned batch, as long as the spread on its coordinates is now."""
        deviation = np.sqrt(self.variance)
        if self.signs is None:
            self.signs = np.sign(villain_trigger(deviation, self.attack.share, 1.0))
        return self.signs * self.attack.magnitude * deviation[self.signs != 0].mean()

    def on_upload(self, ids, epoch, own):
        self.batches += 1
        of_batch = np.array([column.var(ddof=1) for column in own.astype(np.float64).T])
        self.variance = self.variance + (of_batch - self.variance) / min(self.batches, self.window)
        for i, row in zip(ids, own, strict=True):
            if i in self.known:
                self.target = row
                self.found.add(i)
        free = [k for k, i in enumerate(ids) if i in self.norm_of and i not in self.tested | self.found | self.known]
        if self.target is None or epoch < self.attack.search_from:
            free = []
        self.swapped = sorted(free, key=lambda k: -self.score(own[k]))[: self.attack.num_candidates]
        sent, self.own = own.astype(np.float64), own
        if epoch >= self.attack.poison_from:
            self.trigger()
        for k, i in enumerate(ids):
            if k in self.swapped:
                sent[k] = self.target
            if i in self.found and epoch >= self.attack.poison_from:
                sent[k] = own[k] + self.trigger()
        return sent

    def on_download(self, ids, gradient):
        right = {}
        for k, i in enumerate(ids):
            norm = math.sqrt((gradient[k].astype(np.float64) ** 2).sum()) / self.row_weight
            if k in self.swapped:
                before = self.norm_of[i]
                right[k] = norm / before <= self.attack.ratio and before <= self.attack.largest_norm
                self.tested.add(i)
                self.found |= {i} if right[k] else set()
            else:
                self.norm_of[i] = norm
        if right:
            errors = {k: self.score(self.own[k]) - is_right for k, is_right in right.items()}
            slope = sum(error * self.own[k] for k, error in errors.items()) / len(errors)
            bias = np.asarray(sum(errors.values()) / len(errors))
            self.classifier = self.adam.step(self.classifier, [slope, bias])
