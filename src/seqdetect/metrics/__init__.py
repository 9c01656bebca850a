"""Measures: what a detector's scores are worth, on a one-minute grid, per incident and per false alert.

Point-adjusted F1 and thresholds chosen on test data are left out on purpose: random scores do well on both.
"""
