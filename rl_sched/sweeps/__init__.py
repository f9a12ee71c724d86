"""Sweeps: a plan (arms x training seeds x scenarios x search) run by Ray Tune so that nothing is lost or repeated.

Nothing is imported here: ray and optuna cost seconds.
"""
