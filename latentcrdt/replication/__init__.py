"""Replicas: states over a store."""
