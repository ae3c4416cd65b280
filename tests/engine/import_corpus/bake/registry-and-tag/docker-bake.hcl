variable "REGISTRY" { default = "docker.io/me" }
variable "TAG" { default = "dev" }
group "default" { targets = ["app", "api"] }
target "app" { tags = ["${REGISTRY}/app:${TAG}"] }
target "api" { tags = ["${REGISTRY}/api:${TAG}"] }
