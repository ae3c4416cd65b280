#!/bin/sh
version=${2:-dev}
docker build --build-arg V="$version" -t "me/app:$1" "$@"
docker build -t "me/tool:${3:-latest}" tool
