"""A Dockerfile's text in; its instructions, stages and what they compile, and findings, out. No I/O."""
