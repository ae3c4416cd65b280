variable "V" { default = "1.0" }
target "default" { labels = { "org.opencontainers.image.version" = V, "x-${V}" = "y" } }
