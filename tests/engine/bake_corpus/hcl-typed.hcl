variable "N" { 
 type = number
 default = 2 
}
variable "L" { 
 type = list(string)
 default = ["linux/amd64"] 
}
group "default" { targets = ["app"] }
target "app" { 
  platforms = L
  args = { N = N * 2, F = 1.5 }
}
