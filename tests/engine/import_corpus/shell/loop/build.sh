#!/bin/bash
set -e
for service in api web; do
  for stage in dev prod
  do
    docker build --target $stage -t "me/$service:$stage" "services/$service"
  done
done
for other in $OTHERS; do docker build -t "$other" .; done
