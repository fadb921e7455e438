"""The checks, each a function (strategy) → outcome, in the order of the table.

Takes a strategy, gives an outcome with its reason.
"""

from skipwise.conformity.checks.accumulation import accumulates_exactly
from skipwise.conformity.checks.decay import decays_where_due, rests_at_rate_zero
from skipwise.conformity.checks.following import (
    equals_its_formula,
    gradient_equals_its_formula,
    steps_once,
)
from skipwise.conformity.checks.grouping import absent_gradients_are_harmless, order_does_not_matter
from skipwise.conformity.checks.kernels import kernels_agree
from skipwise.conformity.checks.living import hyperparameters_are_alive
from skipwise.conformity.checks.poison import poison_is_said
from skipwise.conformity.checks.quadratic import obeys_its_theory
from skipwise.conformity.checks.resuming import resumes_exactly
from skipwise.conformity.checks.statistics import (
    average_equals_its_formula,
    statistics_are_of_its_weights,
)
from skipwise.conformity.checks.symmetry import keeps_its_symmetry
from skipwise.conformity.outcome import Check

CHECKS = (
    Check(
        name="formula",
        claim="one update, and ten with changing gradients, equal the formula in float64, in the"
        " weights that are trained and in those that are evaluated",
        find=equals_its_formula,
    ),
    Check(
        name="gradient",
        claim="what happens to a gradient before the update equals its formula in float64",
        find=gradient_equals_its_formula,
    ),
    Check(
        name="average",
        claim="the average of the weights equals its formula in float64, after every step",
        find=average_equals_its_formula,
    ),
    Check(
        name="alive",
        claim="every hyper-parameter, changed, changes the weights",
        find=hyperparameters_are_alive,
    ),
    Check(
        name="decay",
        claim="without gradient, weights decay by the closed form; norms, biases and scales stay",
        find=decays_where_due,
    ),
    Check(
        name="rate 0",
        claim="at a rate of zero nothing changes",
        find=rests_at_rate_zero,
    ),
    Check(
        name="resume",
        claim="saved, loaded without pickled code and resumed, every tensor is equal",
        find=resumes_exactly,
    ),
    Check(
        name="parts",
        claim="a batch in parts gives the weights of the whole batch, or where rounding alone moves"
        " a rule elsewhere, its gradients",
        find=accumulates_exactly,
    ),
    Check(
        name="once",
        claim="a step of the training loop is exactly one update",
        find=steps_once,
    ),
    Check(
        name="kernels",
        claim="fused and foreach implementations equal the loop",
        find=kernels_agree,
    ),
    Check(
        name="absent",
        claim="a parameter without gradient stays, and joins in later",
        find=absent_gradients_are_harmless,
    ),
    Check(
        name="order",
        claim="order and grouping of the parameters do not matter",
        find=order_does_not_matter,
    ),
    Check(
        name="quadratic",
        claim="on a quadratic it goes the way of its formula, and is stable below the limit of its"
        " theory and not above; `rate` and `converges` stand where less is known",
        find=obeys_its_theory,
    ),
    Check(
        name="symmetry",
        claim="the scale of the gradient enters as the rule promises",
        find=keeps_its_symmetry,
    ),
    Check(
        name="statistics",
        claim="averaged and searched weights are evaluated with BatchNorm statistics of their own",
        find=statistics_are_of_its_weights,
    ),
    Check(
        name="NaN",
        claim="a NaN in one gradient is said, never trained on in silence",
        find=poison_is_said,
    ),
)

__all__ = ["CHECKS"]
