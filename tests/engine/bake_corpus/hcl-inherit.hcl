group "default" { targets = ["app", "debug"] }
target "_common" { 
  labels = { team = "x" }
  platforms = ["linux/amd64"]
}
target "app" { 
  inherits = ["_common"]
  tags = ["app:1"] 
}
target "debug" {
  inherits = ["app"]
  tags = ["app:debug"]
  args = { DEBUG = true }
}
