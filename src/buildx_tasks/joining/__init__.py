"""Parts of images, each built and verified on some machine, in; one index, published, out."""
