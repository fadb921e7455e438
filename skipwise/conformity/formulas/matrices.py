"""Rules that look at whole matrices: Muon, Shampoo, SOAP."""

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np

from skipwise.conformity.formulas.formula import (
    Array,
    Arrays,
    Ask,
    EachTensor,
    Formula,
    Setting,
    Settings,
    State,
    count,
    mean,
)
from skipwise.strategies import SOAP, Muon, Shampoo

ROUNDS, A, B, C = 5, 3.4445, -4.7750, 2.0315


@final
class Orthogonal(Formula):
    """Muon on the weights of branches, another rule at a share of the rate on all else.

    Args:
        rule: The description.
        rest: The formula of the other rule.
    """

    def __init__(self, rule: Muon, rest: Formula):
        self.rule, self.hidden, self.rest = rule, EachTensor(rule, muon), rest

    def step(self, weights: Arrays, ask: Ask, settings: Settings) -> dict[str, Array]:
        """Update both."""
        gradients, share = ask(weights), self.rule.share
        inner = {n: w for n, w in weights.items() if settings[n].role == "branch"}
        outer = {n: w for n, w in weights.items() if n not in inner}
        lower = {n: replace(settings[n], rate=share * settings[n].rate) for n in outer}
        found = self.hidden.step(inner, lambda _: gradients, settings)
        found |= self.rest.step(outer, lambda _: {n: gradients[n] for n in outer}, lower)
        return {name: found[name] for name in weights}


def muon(rule: Muon, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Muon: the momentum as a matrix of outputs × the rest, made nearly orthogonal.

    Source: Jordan et al. (2024), five rounds of X ← aX + b(XXᵀ)X + c(XXᵀ)²X from M/‖M‖.
    """
    m = mean(state, "m", rule.momentum, g)
    direction = rule.momentum * m + (1 - rule.momentum) * g if rule.nesterov else m
    x = direction.reshape(len(w), -1)
    rows, columns = x.shape
    x = x / max(float(np.linalg.norm(x)), 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.T
        x = A * x + B * square @ x + C * square @ square @ x
    longer = np.sqrt(max(1.0, rows / columns))
    kept = w - setting.rate * setting.decay * w
    return kept - setting.rate * longer * x.reshape(w.shape)


def shampoo(rule: Shampoo, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Shampoo: the gradient, along each of its k axes, times the 2k-th root of the sum of GGᵀ.

    Source: Gupta, Koren, Singer (2018), algorithm 2.
    """
    t, order = count(state), g.ndim
    direction = g
    for axis in range(order):
        begin = rule.epsilon * np.eye(g.shape[axis])
        total = state[f"total {axis}"] = state.get(f"total {axis}", begin) + _outer(g, axis)
        if t <= rule.every or t % rule.every == 0:
            values, vectors = np.linalg.eigh(total)
            state[f"root {axis}"] = vectors * values ** (-1 / (2 * order)) @ vectors.T
        direction = _along(state[f"root {axis}"], direction, axis)
    return w - setting.rate * setting.decay * w - setting.rate * direction


def soap(rule: SOAP, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """SOAP: Adam in the eigenvectors of the means of GGᵀ, which are turned now and then.

    Source: Vyas et al. (2025), algorithm 3; a turn is one power iteration and QR, columns sorted by
    their eigenvalues; the decay comes last, and ε stands beside √v before its correction.
    """
    axes = range(g.ndim) if g.ndim > 1 else range(0)
    t = count(state) - 1
    if t == 0:
        state["means"] = {axis: (1 - rule.beta2) * _outer(g, axis) for axis in axes}
        state["basis"] = {a: np.linalg.eigh(x)[1][:, ::-1] for a, x in state["means"].items()}
        return w
    basis: Mapping[int, Array] = state["basis"]
    m = mean(state, "m", rule.beta1, g)
    v = mean(state, "v", rule.beta2, _turned(g, basis) ** 2)
    within = _turned(m, basis) / (np.sqrt(v) + rule.epsilon)
    corrected = setting.rate * np.sqrt(1 - rule.beta2**t) / (1 - rule.beta1**t)
    moved = w - corrected * _turned(within, {a: q.T for a, q in basis.items()})
    for axis in axes:
        state["means"][axis] = rule.beta2 * state["means"][axis] + (1 - rule.beta2) * _outer(
            g, axis
        )
    if t % rule.every == 0:
        for axis in axes:
            product = state["means"][axis] @ basis[axis]
            order = np.argsort(-(basis[axis] * product).sum(0))
            state["basis"][axis] = np.linalg.qr(product[:, order])[0]
            state["v"] = np.take(state["v"], order, axis)
    return moved * (1 - setting.rate * setting.decay)


def _outer(g: Array, axis: int) -> Array:
    """Give GGᵀ with the axis in front and the others made one."""
    flat = np.moveaxis(g, axis, 0).reshape(g.shape[axis], -1)
    return flat @ flat.T


def _along(matrix: Array, x: Array, axis: int) -> Array:
    """Multiply a matrix along an axis."""
    return np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)


def _turned(x: Array, basis: Mapping[int, Array]) -> Array:
    for axis, vectors in basis.items():
        x = _along(vectors.T, x, axis)
    return x
