docker build -t me/app:${TAG:-dev} --build-arg X=${X} .
