group "default" { targets = ["app"] }
target "app" { args = { A = "1" } }
target "app" { 
  args = { B = "2" }
  tags = ["t"]
}
