"""The stages between source and store, as PTransforms over batches."""
