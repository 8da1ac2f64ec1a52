"""The families of distributions that q and p can have, one file a family."""
