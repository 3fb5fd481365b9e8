"""A committee whose members are far from each other: what delay, jitter and loss do to agreement, on real sockets."""
