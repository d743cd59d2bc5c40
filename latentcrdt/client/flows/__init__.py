"""What takes several calls: pushing, fetching, rendering, as generators that yield steps."""
