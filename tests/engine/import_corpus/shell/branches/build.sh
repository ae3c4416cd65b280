if [ "$1" = push ]; then
  docker buildx build --push -t a .
else
  docker buildx build --load -t a .
fi
