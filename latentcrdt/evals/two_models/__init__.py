"""What merging two models' hidden states is worth, beside merging their weights."""
