"""What is known of the log density ratio without sampling it."""
