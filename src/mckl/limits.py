"""Numbers that several rooms share."""

SEED = 20171127  # of random numbers, if nothing else is said
MOST_SAMPLES = 10**18  # more are out of reach
