variable "TAG" { default = "dev" }
function "tag" {
  params = [name]
  result = ["me/${name}:${TAG}"]
}
target "default" { tags = tag("app") }
