variable "V" { default = "1" }
target "app" {
  name = "app-${os}"
  matrix = { os = ["alpine", "debian"] }
  args = { OS = os, V = V }
}
