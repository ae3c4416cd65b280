docker build --secret id=aws,src=$HOME/.aws/credentials --build-arg TOKEN=$TOKEN -t a .
