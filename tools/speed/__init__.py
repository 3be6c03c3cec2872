"""The picture of speed against context, and its page: what `tools/plot-speed` is made of."""
