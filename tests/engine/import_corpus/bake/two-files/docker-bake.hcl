variable "TAG" { default = "dev" }
target "app" {
  tags = ["app:${TAG}"]
  args = { A = "1", B = "1" }
}
target "prod" {
  inherits = ["app"]
  target = "prod"
}
