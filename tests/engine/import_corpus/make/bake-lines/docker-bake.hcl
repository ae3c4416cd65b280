variable "TAG" { default = "dev" }
variable "REGISTRY" { default = "ghcr.io/me" }
group "default" { targets = ["api", "web"] }
target "base" { dockerfile = "base.Dockerfile" }
target "api" {
  contexts = { base = "target:base" }
  tags = ["${REGISTRY}/api:${TAG}"]
}
target "web" { tags = ["${REGISTRY}/web:${TAG}"] }
