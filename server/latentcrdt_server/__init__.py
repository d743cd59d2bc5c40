"""The HTTP server: FastAPI over replication, store and render."""
