"""Many replicas: a grid × seeds, cut into chunks, trained in compiled programs, labelled."""
