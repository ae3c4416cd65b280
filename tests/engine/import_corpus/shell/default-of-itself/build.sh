TAG="${TAG:-dev}"
export TAG
docker build -t "me/app:${TAG}" .
