variable "REPO" { default = "me/php" }
target "_base" {
  dockerfile = "php.Dockerfile"
  platforms = ["linux/amd64", "linux/arm64"]
}
target "php" {
  inherits = ["_base"]
  name = "php-${replace(version, ".", "-")}-${os.name}"
  matrix = {
    version = ["8.3", "8.4"]
    os = [
      { name = "trixie", base = "debian:trixie-slim" },
      { name = "alpine", base = "alpine:3.22" },
    ]
  }
  args = {
    PHP_VERSION = version
    BASE = os.base
  }
  target = os.name
  tags = ["${REPO}:${version}-${os.name}"]
}
