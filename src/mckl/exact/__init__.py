"""Exact properties of the log density ratio, computed without sampling it."""
