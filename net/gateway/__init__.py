"""The node's API for traders: JSON-RPC 2.0 over HTTP and WebSocket, an adapter between text and engine commands."""
