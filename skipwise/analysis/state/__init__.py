"""The state of a network: its units, ranks, similarities, norms and updates.

Takes a model and batches, or two sets of weights, gives measurements.
"""

from skipwise.analysis.state.normalisation import normalisation, settled
from skipwise.analysis.state.probes import linear_probes
from skipwise.analysis.state.ranks import (
    directions_for,
    effective_rank,
    stable_rank,
    state_ranks,
    weight_ranks,
)
from skipwise.analysis.state.similarity import hsic, linear_cka, state_similarity
from skipwise.analysis.state.units import firing_bound, silenced_probability, units
from skipwise.analysis.state.updates import (
    equilibrium_rotation,
    layer_rotation,
    rotation,
    scale_invariant_weights,
    update_sizes,
)

__all__ = [
    "directions_for",
    "effective_rank",
    "equilibrium_rotation",
    "firing_bound",
    "hsic",
    "layer_rotation",
    "linear_cka",
    "linear_probes",
    "normalisation",
    "rotation",
    "scale_invariant_weights",
    "settled",
    "silenced_probability",
    "stable_rank",
    "state_ranks",
    "state_similarity",
    "units",
    "update_sizes",
    "weight_ranks",
]
