"""Look into a network: hooks, traces, receptive fields, units switched off."""
