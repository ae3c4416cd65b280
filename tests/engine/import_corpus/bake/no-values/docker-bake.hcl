variable "TAG" {}
variable "REG" { default = "" }
target "a" { tags = ["me/a:${TAG}"] }
target "b" { tags = ["${REG}/b:1"] }
