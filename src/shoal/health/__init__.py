"""Closer looks at members than the membership itself takes; they inform, and never write verdicts into it."""

from shoal.health.phi import PhiDetector, PhiForm, phi_logistic, phi_normal
from shoal.health.watch import Reading, Watch, watch

__all__ = ["PhiDetector", "PhiForm", "Reading", "Watch", "phi_logistic", "phi_normal", "watch"]
