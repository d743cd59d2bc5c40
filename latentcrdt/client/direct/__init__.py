"""Large bodies over connections of our own, past the HTTP library."""
