"""Scenarios: what goes wrong with a network, when, and what must hold. One vocabulary for every back end."""
