"""Bytes to documents and pages. Every limit on input lives here."""
