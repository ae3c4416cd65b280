variable "TOKEN" { default = "" }
target "default" { args = { TOKEN = TOKEN } }
