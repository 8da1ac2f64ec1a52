"""Exponential families, whose cumulant generating function is one of the log-partition."""
