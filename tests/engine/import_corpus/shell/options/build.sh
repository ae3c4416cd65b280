OPTS=""
[ -n "$NOCACHE" ] && OPTS="$OPTS --no-cache"
OPTS="$OPTS --build-arg A=1"
docker build $OPTS -t "me/app:${VERSION#v}" .
${DOCKER:-docker} build $EXTRA -t "me/two:${CI_COMMIT_TAG:-$CI_COMMIT_SHA}" -t "me/two:${BRANCH//\//-}" .
docker build -t me/Bad .
$(which docker) build -t "me/part:${TAG:1}" --ssh "default=$SSH_AUTH_SOCK" -- ./dir
$ENGINE buildx build -t me/engine .
docker-compose build
