variable "TAG" {
  default = "v1"
  validation {
    condition = TAG == "v1" || TAG == "v2"
    error_message = "no"
  }
}
target "default" { tags = ["a:${TAG}"] }
