variable "REF" { default = "localhost:5000/c" }
target "default" {
  cache-from = ["type=registry,ref=${REF}"]
  cache-to = ["type=registry,ref=${REF},mode=max"]
}
