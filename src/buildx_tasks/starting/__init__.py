"""A repo's folder in; the files that a project begins with out: ``buildx.toml``, ``tasks.py``, more."""
