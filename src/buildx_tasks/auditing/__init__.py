"""References of published images in; a report of what they are, read from their registry, out."""
