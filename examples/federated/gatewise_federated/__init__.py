"""Federated training of gatewise's models with Flower."""
