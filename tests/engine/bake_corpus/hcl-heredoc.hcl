target "default" {
  dockerfile-inline = <<EOT
FROM alpine
RUN echo $${TARGETPLATFORM} "quoted" \\
  && true
EOT
}
