"""DeepImportance: which neurons decide, and how well a test set exercises them."""
