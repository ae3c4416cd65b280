"""Files of other test programs in; what they expect of an image, each with where it says so, out."""
