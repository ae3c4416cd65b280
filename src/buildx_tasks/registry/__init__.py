"""Steps of the OCI distribution API in; manifests, blobs and tags, read and written, out.

The promises of push need single steps that no docker command has: upload without a tag, ask whether a
tag may be written, move a tag to bytes that are known.
Source of the API: https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""
