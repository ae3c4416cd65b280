variable "V" { default = "1" }
target "default" { args = { A = "$${V}", B = "${V}" } }
