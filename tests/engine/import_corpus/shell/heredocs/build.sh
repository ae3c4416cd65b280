#!/bin/bash
docker build -t me/inline -f - . <<DOCKER
FROM alpine
RUN docker build -t evil .
RUN echo "it's fine"
DOCKER
cat <<'EOS'
usage: docker build -t not-this .
EOS
docker build -t me/real .
docker buildx build -t me/stdin - <<-"END"
	FROM scratch
	COPY . .
	END
