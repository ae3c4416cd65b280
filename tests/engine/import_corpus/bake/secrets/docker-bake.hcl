variable "ID" { default = "tok" }
target "default" { secret = ["id=${ID},env=TOKEN"] }
