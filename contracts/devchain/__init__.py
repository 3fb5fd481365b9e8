"""The embedded development chain: one process, Prague rules, JSON-RPC over HTTP, state in one sqlite file."""
