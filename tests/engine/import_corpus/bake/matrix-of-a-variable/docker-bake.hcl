variable "OSES" { default = "alpine,debian" }
target "app" {
  name = "app-${os}"
  matrix = { os = split(",", OSES) }
  args = { OS = os }
}
