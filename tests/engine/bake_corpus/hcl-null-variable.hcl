variable "GO" { default = null }
variable "SET" { default = "1" }
group "default" { targets = ["app"] }
target "app" { args = { GO = GO, SET = SET } }
