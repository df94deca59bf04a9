"""What `make` calls: the environment, the executed chapters, the built pages."""
