# A stand-in for the golang:…-alpine image: the Go toolchain on the alpine stand-in.
ARG ALPINE
FROM ${ALPINE}
ARG TARGETARCH
COPY ${TARGETARCH}/go/ /usr/local/go/
ENV GOPATH=/go GOTOOLCHAIN=local PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /go
