variable "TAG" { default = "dev" }
group "default" { targets = ["api", "web"] }
target "api" {
  context = "api"
  tags = ["me/api:${TAG}"]
}
target "web" {
  context = "web"
  tags = ["me/web:${TAG}"]
}
