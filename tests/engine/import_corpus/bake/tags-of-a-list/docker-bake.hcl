variable "TAGS" { default = "dev,latest" }
target "default" { tags = [for t in split(",", TAGS) : "me/app:${t}"] }
