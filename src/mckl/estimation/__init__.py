"""Estimates of KL and of its gradient from values of l, and the number of samples they need."""
