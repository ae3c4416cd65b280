variable "TAG" { default = "dev" }
variable "REGISTRY" { default = "localhost:5000" }
target "default" { tags = ["${REGISTRY}/app:${TAG}"] }
