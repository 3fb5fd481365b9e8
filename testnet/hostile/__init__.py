"""Attackers against a running local network, and what they must not achieve: `python -m testnet.hostile --help`."""
