REG=ghcr.io
IMAGE=$REG/me/app
VERSION=1.2
docker buildx build -t ${IMAGE}:${VERSION} -t ${IMAGE}:latest .
