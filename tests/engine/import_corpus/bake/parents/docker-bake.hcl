variable "REGISTRY" { default = "ghcr.io/me" }
variable "VERSION" { default = "dev" }
group "default" {
  targets = ["services", "cli"]
}
group "services" {
  targets = ["api", "worker"]
}
target "_platforms" {
  platforms = ["linux/amd64", "linux/arm64"]
}
target "_labels" {
  labels = {
    "org.opencontainers.image.version" = VERSION
    "org.opencontainers.image.vendor" = "me"
  }
  args = { VERSION = VERSION, DEBUG = "0" }
  cache-from = ["type=registry,ref=${REGISTRY}/cache"]
}
target "api" {
  inherits = ["_platforms", "_labels"]
  tags = ["${REGISTRY}/api:${VERSION}"]
  args = { DEBUG = "1" }
}
target "worker" {
  inherits = ["api"]
  dockerfile = "worker.Dockerfile"
  tags = ["${REGISTRY}/worker:${VERSION}"]
  cache-from = ["type=registry,ref=${REGISTRY}/worker:cache"]
}
target "cli" {
  inherits = ["_labels"]
  target = "cli"
  platforms = ["linux/amd64"]
  output = ["type=local,dest=bin"]
}
