"""What is in an image: index, manifests, layers, files; from a store, a registry or an archive."""
