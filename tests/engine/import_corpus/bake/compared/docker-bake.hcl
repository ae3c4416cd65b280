variable "CI" { default = "" }
target "default" { args = { FAST = CI == "true" ? "0" : "1" } }
