"""Everything that readers look at: figures, captions, the report's first page, the explorer."""
