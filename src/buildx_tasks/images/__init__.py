"""A reference or digest in; what is in that image, out: in a store, a registry or an archive."""
