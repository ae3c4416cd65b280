variable "TOKEN" { default = null }
target "default" { args = { TOKEN = TOKEN } }
