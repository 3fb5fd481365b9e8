"""A network that runs for long, and what grows in it: `python -m testnet.soak --help`."""
