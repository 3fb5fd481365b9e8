"""The rows of the method table, by subject. `net.gateway.methods` puts them together."""
