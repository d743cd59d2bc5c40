"""RENDER_SPEC.md as functions from arrays to arrays. Needs numpy, may use torch."""
