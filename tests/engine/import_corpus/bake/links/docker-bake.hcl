variable "T" { default = "base" }
target "base" { target = T }
target "default" { contexts = { base = "target:base" } }
