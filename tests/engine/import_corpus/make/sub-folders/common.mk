REGISTRY ?= reg.io/x
TAG ?= t1
DOCKER := docker
