"""What a run says: tables as JSON, a page of Markdown, plots. All of it from the stored answers."""
