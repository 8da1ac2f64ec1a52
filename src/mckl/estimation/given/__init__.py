"""Estimates KL from log-probabilities of samples that were drawn elsewhere, in one pass."""
