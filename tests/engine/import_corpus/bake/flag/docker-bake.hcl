variable "NOCACHE" { default = false }
target "default" {
  no-cache = NOCACHE
  args = { NC = NOCACHE }
}
