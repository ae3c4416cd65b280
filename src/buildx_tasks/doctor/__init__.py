"""A project in; findings about all that it needs, each with its fix, out."""
