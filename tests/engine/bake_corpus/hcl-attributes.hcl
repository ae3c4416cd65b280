group "default" { targets = ["app"] }
target "app" {
  args = { A = "1", B = null }
  output = [{ type = "local", dest = "out" }, "type=docker"]
  secret = [{ id = "a", env = "A" }]
  cache-to = [{ type = "inline" }]
  labels = { "org.opencontainers.image.title" = "x" }
  platforms = ["linux/amd64", "linux/arm64"]
}
