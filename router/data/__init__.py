"""Built-in schemas and fitted weights, as data."""
