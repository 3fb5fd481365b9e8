"""The parts of `testnet.drill_escape`: a network that lives, loses its committee, and pays everybody without it."""
