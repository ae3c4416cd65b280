docker run --rm --privileged multiarch/qemu-user-static --reset -p yes
docker run --privileged --rm tonistiigi/binfmt --install all
docker buildx create --use --name multi
docker buildx build --platform linux/amd64,linux/arm/v7 -t me/a:1 --push .
