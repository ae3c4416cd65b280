variable "NOTHING" { default = "x" }
target "default" { tags = ["a"] }
