group "default" { targets = ["app"] }
target "app" {
  name = "app-${item.name}-${replace(v, ".", "-")}"
  matrix = { item = [{ name = "x", port = 1 }, { name = "y", port = 2 }], v = ["1.0", "2.0"] }
  args = { PORT = item.port, V = v }
  target = item.name
}
