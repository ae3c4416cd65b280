#!/bin/bash
function build_image() {
  local name="$1"
  local dir=$2
  docker build -t "me/${name}:latest" "$dir"
}
log() { echo "$@" >&2; }
build_image api services/api
build_image web services/web
each() { for platform in "$@"; do arch=${platform#*/}; docker build --platform "$platform" -t "me/cli:${arch//\//-}" cli; done; }
each linux/amd64 linux/arm/v7
docker manifest create me/cli:1 me/cli:amd64 me/cli:arm-v7
never_called() { docker build --target "$1" -t me/never .; }
