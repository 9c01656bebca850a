"""From raw scores to calibrated ones, and from budgets to thresholds."""
