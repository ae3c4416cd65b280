variable "RELEASE" { default = true }
group "default" { targets = RELEASE ? ["app"] : ["dev"] }
target "app" { output = RELEASE ? ["type=image,push=true"] : ["type=docker"] }
target "dev" {}
