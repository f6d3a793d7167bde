"""Activities of body-worn accelerometers: harmonised input, pooling, text bridge."""
