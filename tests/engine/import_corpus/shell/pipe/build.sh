docker buildx build --progress=plain -t a . 2>&1 | tee build.log
