IMG ?= ghcr.io/me/app
export TAG ?= dev

docker-build:
	docker build --build-arg TAG=$$TAG -t $(IMG):$(TAG) .
