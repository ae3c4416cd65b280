variable "REG" { default = "ghcr.io" }
variable "IMAGE" { default = "${REG}/me/app" }
target "default" { tags = ["${IMAGE}:v1"] }
