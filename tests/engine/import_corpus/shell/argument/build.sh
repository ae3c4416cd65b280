#!/bin/bash
set -euo pipefail
TAG=${1:-latest}
docker build -t me/app:$TAG .
