"""A plan and a builder in; built targets out: one bake call, and where its results wait."""
