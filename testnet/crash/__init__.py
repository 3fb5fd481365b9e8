"""Killing validators at random points, and judging what they had said and stored."""
