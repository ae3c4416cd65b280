variable "TAG" {
  default = "latest"
}
target "default" {
  tags = ["me/app:${TAG}"]
}
