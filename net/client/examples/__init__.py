"""Programs to begin with, each for `make testnet` as it is: `python -m net.client.examples.market_maker --help`."""
