SHA=$(git rev-parse --short HEAD)
docker build -t me/a:$SHA --label "branch=$(git rev-parse --abbrev-ref HEAD)" .
