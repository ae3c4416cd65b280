target "base" {
  tags = ["base:1"]
  args = { A = "1", B = "2" }
  no-cache = true
}
target "child" {
  inherits = ["base"]
  tags = []
  args = { B = null }
}
target "plain" {
  inherits = ["base"]
  tags = ["plain:1"]
}
