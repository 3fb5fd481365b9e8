"""Signed commands sent again and again to nodes of which one dies: each executes once, and all nodes say so."""
