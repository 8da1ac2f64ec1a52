"""Normal laws, diagonal or with full covariances."""
