"""One module for each kind of check: a subject and what is expected in, what was found out."""
