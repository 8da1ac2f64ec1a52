"""From values of l to estimates of KL, and how many of them an estimate needs."""
