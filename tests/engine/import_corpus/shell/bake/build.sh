#!/bin/sh
set -eu
TAG="${1:-latest}"
TAG="$TAG" docker buildx bake --set "default.labels.version=$TAG" --push
