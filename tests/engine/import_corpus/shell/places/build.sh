pushd sub >/dev/null
docker build -t me/sub .
popd
(cd other && docker build -t me/other -f ../Dockerfile.other .)
docker -H ssh://me@host --context=far build -t me/root .
sudo -E docker build -t me/home ~/src/app
timeout 9m docker build -t me/pwd "$PWD"
docker build -t me/git https://github.com/me/app.git#main:sub
ssh host "docker build -t me/ssh ."
