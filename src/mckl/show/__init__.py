"""What people look at: figures, captions, the report's first page and the explorer."""
