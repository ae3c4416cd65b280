"""``buildx.toml`` and its overlays in; a typed, frozen ``Config``, or one clear error, out."""
