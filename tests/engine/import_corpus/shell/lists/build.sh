#!/usr/bin/env bash
set -euo pipefail

readonly SCRIPT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
IMAGE="${IMAGE:-ghcr.io/me/app}"
VERSION="${1:?usage: build.sh VERSION}"
PLATFORMS="linux/amd64,linux/arm64"
BUILD_ARGS=(
  --build-arg "VERSION=${VERSION}"
  --build-arg "COMMIT=$(git rev-parse HEAD)"
)
if [[ "${PUSH:-false}" == "true" ]]; then
  BUILD_ARGS+=(--push)
fi

cd "$SCRIPT_DIR"
docker buildx create --use --name multi || docker buildx use multi
docker buildx build \
  --platform "${PLATFORMS}" \
  "${BUILD_ARGS[@]}" \
  -t "${IMAGE}:${VERSION}" \
  -t "${IMAGE}:latest" \
  -f docker/Dockerfile \
  .
