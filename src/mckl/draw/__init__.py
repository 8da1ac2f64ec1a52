"""Random numbers: streams, quantiles, point sets, and the backends that evaluate l on them."""
