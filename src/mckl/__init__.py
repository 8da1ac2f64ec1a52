"""Monte Carlo estimation of the KL divergence of diagonal Gaussians, beside its exact theory."""

__version__ = "0.1.0"
