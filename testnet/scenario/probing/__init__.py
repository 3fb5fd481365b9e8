"""Probes of real networks: what somebody tries on purpose, and what becomes of it (`attempting`)."""
