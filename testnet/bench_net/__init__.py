"""`make bench-net`: what four validators on one machine carry, agree on and execute. See `__main__`."""
