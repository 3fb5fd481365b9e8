"""Faults of a running network: of its processes (`processes`) and of the lines between them (`router`)."""
