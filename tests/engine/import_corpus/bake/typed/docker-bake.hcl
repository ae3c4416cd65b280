variable "RELEASE" {
  type = bool
  default = false
  description = "Publish"
}
variable "JOBS" {
  type = number
  default = 4
}
variable "NAMES" {
  type = list(string)
  default = ["api", "web"]
}
target "app" {
  args = { RELEASE = RELEASE, JOBS = JOBS, NAMES = join(" ", NAMES) }
  tags = ["app:${RELEASE ? "release" : "snapshot"}"]
}
