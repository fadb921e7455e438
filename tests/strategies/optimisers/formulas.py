"""The papers' updates, written once more: numpy, float64, one parameter, one step after the other.

A formula takes the weights, the gradient of every step, the rate of every step, the decay, and the
rule's description, and gives the weights after the last step. Nothing here imports torch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Formula = Callable[[Array, Sequence[Array], Sequence[float], float, Any], Array]


def sgd(w, gradients, rates, decay, rule):
    v = np.zeros_like(w)
    for raw, eta in zip(gradients, rates, strict=True):
        g = raw + decay * w
        v = rule.momentum * v + g
        w = w - eta * (g + rule.momentum * v if rule.nesterov else v)
    return w


def sgdw(w, gradients, rates, decay, rule):
    trace = np.zeros_like(w)
    for g, eta in zip(gradients, rates, strict=True):
        trace = rule.momentum * trace + g
        update = g + rule.momentum * trace if rule.nesterov else trace
        w = w - eta * (update + decay * w)
    return w


def adam_like(w, gradients, rates, decay, rule, *, decoupled, ahead=False):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, (raw, eta) in enumerate(zip(gradients, rates, strict=True), 1):
        g = raw if decoupled else raw + decay * w
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * g * g
        first = rule.beta1 * m + (1 - rule.beta1) * g if ahead else m
        step = first / (1 - rule.beta1**t) / (np.sqrt(v / (1 - rule.beta2**t)) + rule.epsilon)
        w = w - eta * (step + (decay * w if decoupled else 0.0))
    return w


def adam(w, gradients, rates, decay, rule):
    return adam_like(w, gradients, rates, decay, rule, decoupled=False)


def adamw(w, gradients, rates, decay, rule):
    return adam_like(w, gradients, rates, decay, rule, decoupled=True)


def nadamw(w, gradients, rates, decay, rule):
    return adam_like(w, gradients, rates, decay, rule, decoupled=True, ahead=True)


def nadam(w, gradients, rates, decay, rule):
    m, v, product = np.zeros_like(w), np.zeros_like(w), np.float32(1)  # as torch keeps it
    for t, (raw, eta) in enumerate(zip(gradients, rates, strict=True), 1):
        g = raw if rule.decoupled else raw + decay * w
        w = w - eta * decay * w if rule.decoupled else w
        mu, after = (rule.beta1 * (1 - 0.5 * 0.96 ** (n * rule.momentum_decay)) for n in (t, t + 1))
        product = np.float32(product * np.float32(mu))
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * g * g
        mean = after * m / (1 - float(product) * after) + (1 - mu) * g / (1 - float(product))
        w = w - eta * mean / (np.sqrt(v / (1 - rule.beta2**t)) + rule.epsilon)
    return w


def radam(w, gradients, rates, decay, rule):
    m, v, most = np.zeros_like(w), np.zeros_like(w), 2 / (1 - rule.beta2) - 1
    for t, (raw, eta) in enumerate(zip(gradients, rates, strict=True), 1):
        g = raw if rule.decoupled else raw + decay * w
        w = w - eta * decay * w if rule.decoupled else w
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * g * g
        mean, left = m / (1 - rule.beta1**t), 1 - rule.beta2**t
        rho = most - 2 * t * rule.beta2**t / left
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
            w = w - eta * r * mean * math.sqrt(left) / (np.sqrt(v) + rule.epsilon)
        else:
            w = w - eta * mean
    return w


def rmsprop(w, gradients, rates, decay, rule):
    v, mean, b = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for raw, eta in zip(gradients, rates, strict=True):
        g = raw + decay * w
        v = rule.memory * v + (1 - rule.memory) * g * g
        mean = rule.memory * mean + (1 - rule.memory) * g
        spread = v - mean**2 if rule.centred else v
        b = rule.momentum * b + g / (np.sqrt(spread) + rule.epsilon)
        w = w - eta * b
    return w


def adagrad(w, gradients, rates, decay, rule):
    s = np.full_like(w, rule.start)
    for t, (raw, eta) in enumerate(zip(gradients, rates, strict=True)):
        g = raw + decay * w
        s = s + g * g
        w = w - eta / (1 + t * rule.rate_decay) * g / (np.sqrt(s) + rule.epsilon)
    return w


def adafactor(w, gradients, rates, decay, rule):
    row = column = v = 0.0
    least = np.finfo(np.float64).eps if rule.least is None else rule.least
    for t, (g, eta) in enumerate(zip(gradients, rates, strict=True), 1):
        new = t**rule.decay_power
        alpha = max(rule.least_scale, math.sqrt((w**2).mean())) * min(eta, 1 / math.sqrt(t))
        w = w - eta * decay * w
        if w.ndim > 1:
            row = (1 - new) * row + new * (g**2).mean(-1, keepdims=True)
            column = (1 - new) * column + new * (g**2).mean(-2, keepdims=True)
            v = row * column / np.maximum(row.mean(-2, keepdims=True), least)
        else:
            v = (1 - new) * v + new * g**2
        u = g / np.maximum(np.sqrt(v), least)
        w = w - alpha * u / max(1.0, math.sqrt((u**2).mean()) / rule.clip)
    return w


def lars(w, gradients, rates, decay, rule):
    v = np.zeros_like(w)
    for raw, eta in zip(gradients, rates, strict=True):
        g, trust = raw, 1.0
        if w.ndim > 1:
            size, slope = np.linalg.norm(w), np.linalg.norm(raw)
            trust = rule.trust * size / (slope + decay * size) if size > 0 else 1.0
            g = raw + decay * w
        g = trust * g
        v = rule.momentum * v + g
        w = w - eta * (g + rule.momentum * v if rule.nesterov else v)
    return w


def lamb(w, gradients, rates, decay, rule):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for g, eta in zip(gradients, rates, strict=True):
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * g * g
        u = m / (np.sqrt(v) + rule.epsilon) + decay * w
        # The package adds ε to the norm; the tests' vectors are norms, which have no trust ratio.
        size = np.linalg.norm(w) if w.ndim > 1 else 0.0
        w = w - eta * (size / (np.linalg.norm(u) + rule.epsilon) if size > 0 else 1.0) * u
    return w


def lion(w, gradients, rates, decay, rule):
    m = np.zeros_like(w)
    for g, eta in zip(gradients, rates, strict=True):
        w = w - eta * (np.sign(rule.beta1 * m + (1 - rule.beta1) * g) + decay * w)
        m = rule.beta2 * m + (1 - rule.beta2) * g
    return w


def adan(w, gradients, rates, decay, rule):
    m, d, n = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, (g, eta) in enumerate(zip(gradients, rates, strict=True), 1):
        change = g - gradients[t - 2] if t > 1 else np.zeros_like(g)
        m = rule.beta1 * m + (1 - rule.beta1) * g
        d = rule.beta2 * d + (1 - rule.beta2) * change
        n = rule.beta3 * n + (1 - rule.beta3) * (g + rule.beta2 * change) ** 2
        ahead = m / (1 - rule.beta1**t) + rule.beta2 * d / (1 - rule.beta2**t)
        u = ahead / (np.sqrt(n / (1 - rule.beta3**t)) + rule.epsilon)
        w = (w - eta * u) / (1 + eta * decay)
    return w


def cautious_adamw(w, gradients, rates, decay, rule):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, (g, eta) in enumerate(zip(gradients, rates, strict=True), 1):
        w = w - eta * decay * w
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * g * g
        u = m / (1 - rule.beta1**t) / (np.sqrt(v / (1 - rule.beta2**t)) + rule.epsilon)
        phi = (u * g > 0).astype(float)
        w = w - eta * u * phi / max(phi.mean(), rule.least)
    return w


def adopt(w, gradients, rates, decay, rule):
    m, v = np.zeros_like(w), gradients[0] ** 2
    w = w - rates[0] * decay * w  # the package's
    for t, (g, eta) in enumerate(zip(gradients[1:], rates[1:], strict=True), 1):
        limit = t**rule.growth
        pushed = np.clip(g / np.maximum(np.sqrt(v), rule.epsilon), -limit, limit)
        m = rule.beta1 * m + (1 - rule.beta1) * pushed
        w = w - eta * decay * w - eta * m
        v = rule.beta2 * v + (1 - rule.beta2) * g**2
    return w


def mars(w, gradients, rates, decay, rule):
    m, v, before = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    is_vector = w.ndim == 1
    beta1 = rule.vector_beta1 if is_vector else rule.beta1
    beta2 = rule.vector_beta2 if is_vector else rule.beta2
    for t, (g, full) in enumerate(zip(gradients, rates, strict=True), 1):
        eta = full * rule.share if is_vector else full
        c = g
        if not is_vector:
            c = g + rule.correction * beta1 / (1 - beta1) * (g - before)
            c = c / max(np.linalg.norm(c), 1.0)
        m = beta1 * m + (1 - beta1) * c
        v = beta2 * v + (1 - beta2) * c**2
        # The package's 1e-15, and its place of ε.
        u = np.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v + 1e-15) + rule.epsilon)
        w, before = w - eta * (u + decay * w), g
    return w


def shampoo(w, gradients, rates, decay, rule):
    sums = [rule.epsilon * np.eye(size) for size in w.shape]
    roots = list(sums)
    for t, (g, eta) in enumerate(zip(gradients, rates, strict=True), 1):
        turned = g
        for axis, size in enumerate(w.shape):
            matrix = np.moveaxis(g, axis, 0).reshape(size, -1)
            sums[axis] = sums[axis] + matrix @ matrix.T
            if t <= rule.every or t % rule.every == 0:
                values, vectors = np.linalg.eigh(sums[axis])
                roots[axis] = vectors * values ** (-1 / (2 * w.ndim)) @ vectors.T
            turned = np.moveaxis(np.tensordot(roots[axis], turned, (1, axis)), 0, axis)
        w = w - eta * decay * w - eta * turned
    return w


def orthogonal(matrix: Array) -> Array:
    """Give the five rounds of the quintic iteration, with loops over rounds only."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / np.sqrt((x**2).sum())
    for _ in range(5):
        x = a * x + b * (x @ x.T) @ x + c * (x @ x.T) @ (x @ x.T) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


def muon(w, gradients, rates, decay, rule):
    m = np.zeros_like(w)
    for g, eta in zip(gradients, rates, strict=True):
        m = rule.momentum * m + (1 - rule.momentum) * g
        wanted = rule.momentum * m + (1 - rule.momentum) * g if rule.nesterov else m
        matrix = wanted.reshape(len(w), -1)
        length = math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
        w = w - eta * decay * w - eta * length * orthogonal(matrix).reshape(w.shape)
    return w


def schedule_free(w, gradients, rates, decay, rule, *, beta, normalise):
    """Give the averages x; the paper keeps x and z and computes y from them."""
    x, z, v, total = w, w, np.zeros_like(w), 0.0
    for t, (raw, eta) in enumerate(zip(gradients, rates, strict=True), 1):
        y = (1 - beta) * z + beta * x
        u = raw
        if normalise:
            v = rule.beta2 * v + (1 - rule.beta2) * raw * raw
            u = raw / (np.sqrt(v / (1 - rule.beta2**t)) + rule.epsilon)
        z = z - eta * (u + decay * y)
        weight = max(rates[:t]) ** 2
        total += weight
        x = (1 - weight / total) * x + weight / total * z
    return x, (1 - beta) * z + beta * x


def schedule_free_sgd(w, gradients, rates, decay, rule):
    return schedule_free(w, gradients, rates, decay, rule, beta=rule.beta, normalise=False)[1]


def schedule_free_adamw(w, gradients, rates, decay, rule):
    return schedule_free(w, gradients, rates, decay, rule, beta=rule.beta1, normalise=True)[1]


def soap(w, gradients, rates, decay, rule):
    """Give the weights where vectors are plain Adam; the first step only begins the matrices."""
    m, v, bases = np.zeros_like(w), np.zeros_like(w), []

    def turned(x: Array, *, back: bool = False) -> Array:
        for axis, basis in enumerate(bases):
            x = np.moveaxis(np.tensordot(x, basis, (axis, 1 if back else 0)), -1, axis)
        return x

    def remembered(sums: list[Array], g: Array) -> list[Array]:
        flat = [np.moveaxis(g, axis, 0).reshape(len(s), -1) for axis, s in enumerate(sums)]
        pairs = zip(sums, flat, strict=True)
        return [rule.beta2 * s + (1 - rule.beta2) * f @ f.T for s, f in pairs]

    sums = [np.zeros((size, size)) for size in w.shape] if w.ndim > 1 else []
    sums = remembered(sums, gradients[0])
    bases = [np.linalg.eigh(s)[1][:, ::-1] for s in sums]
    for t, (g, eta) in enumerate(zip(gradients[1:], rates[1:], strict=True), 1):
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * turned(g) ** 2
        scale = math.sqrt(1 - rule.beta2**t) / (1 - rule.beta1**t)
        step = turned(turned(m) / (np.sqrt(v) + rule.epsilon), back=True)
        w = (w - eta * scale * step) * (1 - eta * decay)
        sums = remembered(sums, g)
        if t % rule.every == 0:
            for axis, (s, basis) in enumerate(zip(sums, list(bases), strict=True)):
                moved = s @ basis
                order = np.argsort(-(basis * moved).sum(0))
                v = np.take(v, order, axis)
                bases[axis] = np.linalg.qr(moved[:, order])[0]
    return w


def prodigy(parts, gradients, rates, decays, rule):
    """Give all weights, by name: the distance d belongs to all of them together."""
    start, w = parts, dict(parts)
    m, v, s = ({n: np.zeros_like(p) for n, p in parts.items()} for _ in range(3))
    beta3, r, d, most = math.sqrt(rule.beta2), 0.0, rule.start, rule.start
    for t, (g, eta) in enumerate(zip(gradients, rates, strict=True), 1):
        gamma = eta
        if rule.corrected:
            gamma = eta * math.sqrt(1 - rule.beta2**t) / (1 - rule.beta1**t)
        pull = sum(float((g[n] * (start[n] - w[n])).sum()) for n in w)
        r = beta3 * r + d / rule.start * d * gamma * pull
        weight = d / rule.start * (d if rule.safeguarded else d * gamma)
        s = {n: beta3 * s[n] + weight * g[n] for n in w}
        m = {n: rule.beta1 * m[n] + (1 - rule.beta1) * d * g[n] for n in w}
        v = {n: rule.beta2 * v[n] + (1 - rule.beta2) * (d * g[n]) ** 2 for n in w}
        found = rule.coefficient * r / sum(float(np.abs(part).sum()) for part in s.values())
        most = max(most, found)
        for n in w:
            root = np.sqrt(v[n]) + most * rule.epsilon
            w[n] = w[n] * (1 - d * gamma * decays[n]) - d * gamma * m[n] / root
        d = most
    return w
