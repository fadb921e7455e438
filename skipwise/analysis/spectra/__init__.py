"""Symmetric matrices that are known by their products with vectors.

Takes an operator, gives eigenvalues at the ends, the trace and the density, each with its error.
Knows no network.
"""

from skipwise.analysis.spectra.density import Density, spectral_density
from skipwise.analysis.spectra.estimate import Estimate, jackknifed, mean_of
from skipwise.analysis.spectra.lanczos import Extremes, Krylov, extreme_eigenvalues, lanczos
from skipwise.analysis.spectra.operator import Flat, Operator, dense, preconditioned, shifted
from skipwise.analysis.spectra.trace import trace

__all__ = [
    "Density",
    "Estimate",
    "Extremes",
    "Flat",
    "Krylov",
    "Operator",
    "dense",
    "extreme_eigenvalues",
    "jackknifed",
    "lanczos",
    "mean_of",
    "preconditioned",
    "shifted",
    "spectral_density",
    "trace",
]
