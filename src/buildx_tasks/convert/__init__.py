"""Files of other tools in; the text of a ``buildx.toml`` out."""
