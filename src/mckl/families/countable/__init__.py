"""Vectors of independent laws with finitely or countably many values."""
