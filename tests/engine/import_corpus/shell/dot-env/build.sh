#!/bin/bash
set -a; source .env; set +a
docker build --build-arg NPM_TOKEN=$NPM_TOKEN -t "$REGISTRY/app" .
