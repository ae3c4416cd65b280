# docker build -t no .
docker build -t yes . # not this
