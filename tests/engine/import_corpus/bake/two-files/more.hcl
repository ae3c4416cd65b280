target "app" {
  args = { B = "2" }
  labels = { over = "yes" }
}
target "extra" {
  inherits = ["prod"]
  tags = ["extra:${TAG}"]
}
