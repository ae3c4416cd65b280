group "default" { targets = ["app"] }
target "base" { args = { V = "1" } }
target "app" { tags = ["app:${target.base.args.V}"] }
