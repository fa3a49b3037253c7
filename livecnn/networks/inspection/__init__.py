"""What a network is made of and what its layers give: hooks, traces, receptive fields, units switched off."""
