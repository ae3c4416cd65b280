docker build \
  --file docker/Dockerfile \
  --build-arg BASE='alpine:3' \
  --tag a \
  docker
