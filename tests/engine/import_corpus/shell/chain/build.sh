cd app && docker build -t a . && docker push a && echo done
