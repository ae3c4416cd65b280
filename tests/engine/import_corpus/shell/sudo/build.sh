sudo docker build --network=host -t a .
