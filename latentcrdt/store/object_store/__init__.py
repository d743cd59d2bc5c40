"""A store that many servers share: fragments and memberships in a bucket of an object service."""
