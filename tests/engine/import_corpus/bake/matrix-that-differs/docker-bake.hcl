target "app" {
  name = "app-${flavor}"
  matrix = { flavor = ["full", "slim"] }
  tags = flavor == "full" ? ["app:full", "app:latest"] : ["app:slim"]
}
