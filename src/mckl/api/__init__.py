"""The Python interface: KL of distributions, callables and log-probabilities that users have."""
