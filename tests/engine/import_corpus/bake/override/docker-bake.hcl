variable "TAG" { default = "dev" }
target "default" { tags = ["a:${TAG}"] }
