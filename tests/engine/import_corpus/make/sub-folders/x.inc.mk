extra:
	docker build -t $(REGISTRY)/extra .
