"""Fitted weights of the candidate scorer, as data."""
