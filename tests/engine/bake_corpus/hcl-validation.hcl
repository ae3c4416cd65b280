variable "TAG" {
  default = "v1"
  validation {
    condition = TAG != ""
    error_message = "no tag"
  }
}
group "default" { targets = ["app"] }
target "app" { tags = ["app:${TAG}"] }
