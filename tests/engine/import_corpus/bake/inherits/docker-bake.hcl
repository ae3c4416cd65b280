variable "V" { default = "1" }
target "_base" { args = { V = V } }
target "app" {
  inherits = ["_base"]
  target = "app"
}
