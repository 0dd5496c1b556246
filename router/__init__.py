"""Decides: scores, routes, reviews and merges. Knows no model, queue, network or environment."""
