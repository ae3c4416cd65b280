variable "RELEASE" { default = "" }
target "default" { tags = [notequal(RELEASE, "") ? "me/app:${RELEASE}" : "me/app:dev"] }
