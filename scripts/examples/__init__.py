"""Programs to copy: agents that share what they know through a server, on a small real model."""
