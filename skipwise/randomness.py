"""Randomness as a function of the seed and the step: the only file that seeds anything.

A key is a hash of its parts, never a sum of them, so no two purposes share a stream. Numbers that
belong to an example depend on (seed, step, global position of the example) and on nothing else:
they are the same however the batch is cut into parts or spread over processes.

Source: Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators", the mixing
function of SplitMix64.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor

from skipwise.shapes import Index, Uniforms

GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit number
FIRST, SECOND = -4658895280553007687, -7723592293110705685

_examples: ContextVar[Tensor | None] = ContextVar("keys of the examples at hand", default=None)


def key(*parts: int | str) -> int:
    """Hash the parts to a number in [0, 2⁶³).

    >>> key(0, "order", 1) == key(0, "order", 1), key(0, 11) == key(1, 10)
    (True, False)
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """Give a generator on the CPU that starts from the key of the parts."""
    return torch.Generator().manual_seed(key(*parts))


def _shifted(number: Tensor, bits: int) -> Tensor:
    # torch shifts signed numbers with their sign, which the mask takes off.
    return (number >> bits) & ((1 << (64 - bits)) - 1)


def _mixed(number: Tensor) -> Tensor:
    number = (number ^ _shifted(number, 30)) * FIRST
    number = (number ^ _shifted(number, 27)) * SECOND
    return number ^ _shifted(number, 31)


def example_keys(seed: int, step: int, positions: Index) -> Index:
    """Give one 64-bit key to each example of a batch, from its global position in that batch."""
    return _mixed(positions * GOLDEN + key(seed, "example", step))


def uniform(keys: Index, lane: int) -> Uniforms:
    """Draw one number in [0, 1) per key; each lane is an independent stream."""
    offset = ((lane + 1) * GOLDEN) & (2**64 - 1)
    signed = offset - 2**64 if offset >= 2**63 else offset
    return _shifted(_mixed(keys + signed), 40).to(torch.float32) * 2.0**-24


@contextmanager
def examples(keys: Index) -> Iterator[None]:
    """Tell the layers inside which examples they see, so that their noise follows the example."""
    token = _examples.set(keys)
    try:
        yield
    finally:
        _examples.reset(token)


def uniform_per_example(lane: int, batch: int, device: torch.device) -> Uniforms:
    """Draw one number in [0, 1) per example: by key inside :func:`examples`, else by torch's."""
    keys = _examples.get()
    if keys is None or len(keys) != batch:
        return torch.rand(batch, device=device)
    return uniform(keys.to(device), lane)


def seeded_each(keys: Index) -> Iterator[int]:
    """Yield the number of each example, with torch's generator seeded by its key meanwhile.

    For operations of other libraries, which draw from the global generator; its state is given back
    at the end.
    """
    state = torch.default_generator.get_state()
    try:
        for number, seed in enumerate(keys.tolist()):
            torch.default_generator.manual_seed(seed & (2**63 - 1))
            yield number
    finally:
        torch.default_generator.set_state(state)


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Seed torch, numpy and random by the key of the parts; give the old states back at the end.

    Only devices that are already in use are touched.
    """
    number = key(*parts)
    states = torch.default_generator.get_state(), np.random.get_state(), random.getstate()
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    gpu_states = torch.cuda.get_rng_state_all() if on_gpu else []
    torch.default_generator.manual_seed(number)
    np.random.seed(number & 0xFFFFFFFF)
    random.seed(number)
    if on_gpu:
        torch.cuda.manual_seed_all(number)
    try:
        yield
    finally:
        torch.default_generator.set_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        if on_gpu:
            torch.cuda.set_rng_state_all(gpu_states)
