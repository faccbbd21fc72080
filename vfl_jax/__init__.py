"""Backdoor attacks and defenses in vertical federated learning, as a JAX functional simulator."""
