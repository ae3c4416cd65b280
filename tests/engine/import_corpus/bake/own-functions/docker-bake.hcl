variable "TAG" { default = "v1.2.3" }
variable "REGISTRIES" { default = "docker.io/me,ghcr.io/me" }
function "tags" {
  params = [name]
  result = [for registry in split(",", REGISTRIES) : "${registry}/${name}:${TAG}"]
}
function "major" {
  params = [version]
  result = regex("^v(\\d+)", version)[0]
}
target "app" {
  tags = tags("app")
  args = { MAJOR = major(TAG) }
}
target "web" { tags = tags("web") }
