variable "NAME" { default = "app" }
target "default" { args = { N = upper(NAME) } }
