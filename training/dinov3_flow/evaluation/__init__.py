"""Error figures of models beside those of other methods, on rendered pairs and on data sets."""
