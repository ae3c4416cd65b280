"""An address that the docker command knows in; what the engine is, stores and refuses, out."""
