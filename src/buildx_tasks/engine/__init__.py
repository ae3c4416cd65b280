"""The Docker Engine, reached as the docker command does: what it is, what it stores, why it fails."""
