"""Verified images in; tags that hold exactly these, read back, out."""
