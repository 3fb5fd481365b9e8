"""Planted bugs: each takes one rule out of the code, and the campaign has to notice.

A mutant is a patch of a module's names, put in and taken out around a run. Families of rules have a file each; what
schedules a mutant is run on stands in `profiles.py`; `python -m testnet.sim.mutants` runs them all.
"""
