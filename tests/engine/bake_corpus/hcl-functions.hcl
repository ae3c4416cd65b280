variable "TAG" { default = "Latest" }
function "image" { 
  params = [name]
  result = "example.com/${lower(name)}:${lower(TAG)}"
}
group "default" { targets = ["app"] }
target "app" {
  tags = [image("App"), notequal("", TAG) ? "app:x" : ""]
  args = { N = add(1, 2), S = join(",", ["a", "b"]) }
}
