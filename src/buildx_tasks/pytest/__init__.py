"""A person's tests in; their images, to be run, asked and looked into, out: see docs/pytest.md.

``plugin`` registers itself with pytest and loads nothing else until a test asks for an image.
"""
