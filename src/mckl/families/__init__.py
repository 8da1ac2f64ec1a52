"""What q and p are made of, and the coefficients of their log density ratio."""
